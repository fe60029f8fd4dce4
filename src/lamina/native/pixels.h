/* What is around the products of 8-bit integers; see lamina/training/int8.py. d = m * units columns of all members. */

#define LEVELS 126.0f
#define SMALLEST 1e-30f

/* largest <- the largest absolute number of each column in rows [from, to) of (n, d); sums <- the columns' sums. */
FOR_PROCESSORS static void extent_part(const float *restrict x, float *restrict largest, float *restrict sums, i64 d,
                                       i64 from, i64 to)
{
    for (i64 left = 0; left < d; left += COLUMNS) {
        float most[COLUMNS] = {0}, sum[COLUMNS] = {0};
        i64 width = smaller(COLUMNS, d - left);
        for (i64 i = from; i < to; i++)
            for (i64 u = 0; u < width; u++) {
                float number = x[i * d + left + u], size = fabsf(number);
                most[u] = size > most[u] ? size : most[u];
                sum[u] += number;
            }
        for (i64 u = 0; u < width; u++) largest[left + u] = most[u], sums[left + u] = sum[u];
    }
}

/* step <- the distance of levels that spans each column, from the largest numbers of blocks; inverse <- 1 / step. */
static void steps_of(const float *largest, float *step, float *inverse, i64 blocks, i64 d)
{
    for (i64 u = 0; u < d; u++) {
        float most = largest[u];
        for (i64 block = 1; block < blocks; block++)
            most = largest[block * d + u] > most ? largest[block * d + u] : most;
        step[u] = most / LEVELS > SMALLEST ? most / LEVELS : SMALLEST;
        inverse[u] = 1 / step[u];
    }
}

/* rounded <- weight * inverse to the nearest in rows [from, to) of (n, d); sums <- the columns' sums of it. */
FOR_PROCESSORS static void round_part(const float *restrict weight, const float *restrict inverse,
                                      int8_t *restrict rounded, float *restrict sums, i64 d, i64 from, i64 to)
{
    for (i64 left = 0; left < d; left += COLUMNS) {
        float sum[COLUMNS] = {0};
        i64 width = smaller(COLUMNS, d - left);
        for (i64 i = from; i < to; i++)
            for (i64 u = 0; u < width; u++) {
                float level = rintf(weight[i * d + left + u] * inverse[left + u]);
                sum[u] += level;
                rounded[i * d + left + u] = (int8_t)(int)level;
            }
        for (i64 u = 0; u < width; u++) sums[left + u] = sum[u];
    }
}

/* weight (n, d) -> rounded (n, d); factor (d,) and constant (d,), with which a product of pixels is scaled. */
void lamina_round_weight(const float *weight, const float *bias, int8_t *rounded, float *factor, float *constant,
                         i64 n, i64 d, double scale, double shift)
{
    i64 blocks = blocks_for(1), height = part_of(n, blocks);
    float *largest = allocate(2 * blocks * d * (i64)sizeof(float)), *sums = largest + blocks * d;
#pragma omp parallel for schedule(static)
    for (i64 block = 0; block < blocks; block++) {
        i64 from = smaller(n, block * height);
        extent_part(weight, largest + block * d, sums + block * d, d, from, smaller(n, from + height));
    }
    steps_of(largest, factor, constant, blocks, d);
#pragma omp parallel for schedule(static)
    for (i64 block = 0; block < blocks; block++) {
        i64 from = smaller(n, block * height);
        round_part(weight, constant, rounded, sums + block * d, d, from, smaller(n, from + height));
    }
    add_up_float(sums, constant, blocks, d);
    for (i64 u = 0; u < d; u++) {
        constant[u] = bias[u] + constant[u] * factor[u] * (float)shift;
        factor[u] *= (float)scale;
    }
    free(largest);
}

/* rounded <- gradient * inverse, up or down as noise says, in rows [from, to). */
FOR_PROCESSORS static void dither_part(const float *restrict gradient, const float *restrict noise,
                                       const float *restrict inverse, int8_t *restrict rounded, i64 units, i64 d,
                                       i64 from, i64 to)
{
    for (i64 i = from; i < to; i++)
        for (i64 u = 0; u < units; u++)
            rounded[i * d + u] =
                (int8_t)(int)floorf(noise[i * units + u] + gradient[i * units + u] * inverse[u]);
}

/* gradient, noise (m, n, units) -> rounded (n, d), by_bias (d,); factor (d,) and constant (d,) as above. */
void lamina_round_gradient(const float *gradient, const float *noise, int8_t *rounded, float *by_bias, float *factor,
                           float *constant, i64 m, i64 n, i64 units, double scale, double shift)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks), d = m * units;
    float *largest = allocate(2 * blocks * d * (i64)sizeof(float)), *sums = largest + blocks * d;
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++) {
            i64 of = (j * blocks + block) * units, from = smaller(n, block * height);
            extent_part(gradient + j * n * units, largest + of, sums + of, units, from, smaller(n, from + height));
        }
    for (i64 j = 0; j < m; j++) {
        steps_of(largest + j * blocks * units, factor + j * units, constant + j * units, blocks, units);
        add_up_float(sums + j * blocks * units, by_bias + j * units, blocks, units);
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            dither_part(gradient + j * n * units, noise + j * n * units, constant + j * units, rounded + j * units,
                        units, d, block * height, smaller(n, (block + 1) * height));
    for (i64 u = 0; u < d; u++) {
        constant[u] = by_bias[u] * (float)shift;
        factor[u] *= (float)scale;
    }
    free(largest);
}

/* out <- constant + factor * product in rows [from, to); out may be where product is. */
FOR_PROCESSORS static void scale_part(const int32_t *product, float *out, const float *factor, const float *constant,
                                      i64 units, i64 d, i64 from, i64 to)
{
    for (i64 i = from; i < to; i++) {
        const int32_t *row = product + i * d;
        float *result = out + i * units;
#pragma GCC ivdep
        for (i64 u = 0; u < units; u++) result[u] = constant[u] + factor[u] * (float)row[u];
    }
}

/* product (n, d) -> out (m, n, units). */
void lamina_scale_product(const int32_t *product, float *out, const float *factor, const float *constant, i64 m,
                          i64 n, i64 units)
{
    i64 blocks = blocks_for(m), width = width_of(n, blocks);
#pragma omp parallel for collapse(2) schedule(static)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            scale_part(product + j * units, out + j * n * units, factor + j * units, constant + j * units, units,
                       m * units, block * width, smaller(n, (block + 1) * width));
}

/* out <- pixels, but mean where bits are below threshold. */
FOR_PROCESSORS static void drop_part(const uint8_t *restrict pixels, const int16_t *restrict bits,
                                     uint8_t *restrict out, i64 from, i64 to, int16_t threshold, uint8_t mean)
{
    for (i64 i = from; i < to; i++) out[i] = bits[i] >= threshold ? pixels[i] : mean;
}

void lamina_drop_pixels(const uint8_t *pixels, const int16_t *bits, uint8_t *out, i64 n, i64 threshold, i64 mean)
{
    i64 blocks = blocks_for(1), width = width_of(n, blocks);
#pragma omp parallel for schedule(static) if (n > ON_ONE_THREAD)
    for (i64 block = 0; block < blocks; block++)
        drop_part(pixels, bits, out, block * width, smaller(n, (block + 1) * width), (int16_t)threshold,
                  (uint8_t)mean);
}
