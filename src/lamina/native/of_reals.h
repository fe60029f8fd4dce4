/* Kernels for one kind of number: kernels.c includes this file with REAL float, and again with REAL double.
 *
 * Arrays are dense, row by row. A function that ends in _part does a part of the work and is compiled for several
 * processors; the one that Python calls gives each thread members, or rows where there are fewer members than threads.
 * What several threads have summed up is added in their order: results repeat with the same number of threads. */

/* x <- dropout(σ(x + bias)) in rows [from, to) of (n, units); σ(z) = z where z > 0, else slope z. */
FOR_PROCESSORS static void NAME(forward_part)(REAL *restrict x, const REAL *restrict bias,
                                              const int16_t *restrict bits, i64 units, i64 bits_in_row, i64 from,
                                              i64 to, REAL slope, int16_t threshold, REAL factor)
{
    for (i64 i = from; i < to; i++) {
        REAL *restrict row = x + i * units;
        const int16_t *restrict drawn = bits + i * bits_in_row;
        if (bias)
            for (i64 u = 0; u < units; u++) row[u] += bias[u];
        for (i64 u = 0; u < units; u++) row[u] = row[u] > 0 ? row[u] : slope * row[u];
        if (bits)
            for (i64 u = 0; u < units; u++) row[u] *= drawn[u] >= threshold ? factor : 0;
    }
}

/* x (m, n, units); bias of m members at equal distances, or NULL; bits (n, m, units), a row's at equal distances, or
 * NULL: no dropout. */
void NAME(lamina_forward)(REAL *x, const REAL *bias, i64 bias_distance, const int16_t *bits, i64 bits_in_row, i64 m,
                          i64 n, i64 units, double slope, i64 threshold, double factor)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks);
#pragma omp parallel for collapse(2) schedule(static) if (m * n * units > ON_ONE_THREAD)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            NAME(forward_part)(x + j * n * units, bias ? bias + j * bias_distance : NULL,
                               bits ? bits + j * units : NULL, units, bits_in_row, block * height,
                               smaller(n, (block + 1) * height), (REAL)slope, (int16_t)threshold, (REAL)factor);
}

/* gradient <- the gradient by what forward was given, from that by its result y, in rows [from, to); sums, where
 * given, <- of its columns. */
FOR_PROCESSORS static void NAME(backward_part)(REAL *restrict gradient, const REAL *restrict y, REAL *restrict sums,
                                               i64 units, i64 from, i64 to, REAL where_positive, REAL elsewhere)
{
    for (i64 left = 0; left < units; left += COLUMNS) {
        REAL sum[COLUMNS] = {0};
        i64 width = smaller(COLUMNS, units - left);
        for (i64 i = from; i < to; i++) {
            REAL *restrict row = gradient + i * units + left;
            const REAL *restrict result = y + i * units + left;
            for (i64 u = 0; u < width; u++) {
                row[u] *= result[u] > 0 ? where_positive : elsewhere;
                sum[u] += row[u];
            }
        }
        for (i64 u = 0; sums && u < width; u++) sums[left + u] = sum[u];
    }
}

FOR_PROCESSORS static void NAME(add_part)(REAL *restrict sum, const REAL *restrict x, i64 n)
{
    for (i64 i = 0; i < n; i++) sum[i] += x[i];
}

/* Sums of blocks one after the other, (blocks, n), to out. */
static void NAME(add_up)(const REAL *sums, REAL *out, i64 blocks, i64 n)
{
    for (i64 i = 0; i < n; i++) {
        REAL sum = sums[i];
        for (i64 block = 1; block < blocks; block++) sum += sums[block * n + i];
        out[i] = sum;
    }
}

/* A unit that was dropped is 0 and gets slope * factor: with dropout, the slope must be 0. */
void NAME(lamina_backward)(REAL *gradient, const REAL *y, REAL *by_bias, i64 bias_distance, i64 m, i64 n, i64 units,
                           double slope, double factor)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks);
    REAL *sums = allocate(m * blocks * units * sizeof(REAL));
#pragma omp parallel for collapse(2) schedule(static) if (m * n * units > ON_ONE_THREAD)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            NAME(backward_part)(gradient + j * n * units, y + j * n * units,
                                by_bias ? sums + (j * blocks + block) * units : NULL, units, block * height,
                                smaller(n, (block + 1) * height), (REAL)factor, (REAL)(slope * factor));
    for (i64 j = 0; by_bias && j < m; j++)
        NAME(add_up)(sums + j * blocks * units, by_bias + j * bias_distance, blocks, units);
    free(sums);
}

/* Batch normalization (Ioffe and Szegedy 2015, algorithm 1). First: sums <- the columns' sums of x less its first row,
 * squares <- of the squares of that, in rows [from, to) of (n, units). */
FOR_PROCESSORS static void NAME(moments_part)(const REAL *restrict x, REAL *restrict sums, REAL *restrict squares,
                                              i64 units, i64 from, i64 to)
{
    for (i64 left = 0; left < units; left += COLUMNS) {
        REAL sum[COLUMNS] = {0}, square[COLUMNS] = {0};
        i64 width = smaller(COLUMNS, units - left);
        for (i64 i = from; i < to; i++)
            for (i64 u = 0; u < width; u++) {
                REAL off = x[i * units + left + u] - x[left + u];
                sum[u] += off;
                square[u] += off * off;
            }
        for (i64 u = 0; u < width; u++) sums[left + u] = sum[u], squares[left + u] = square[u];
    }
}

/* Then: out <- σ(scale x + constant), units dropped, as in forward. */
FOR_PROCESSORS static void NAME(normalize_part)(const REAL *restrict x, REAL *restrict out,
                                                const REAL *restrict scale, const REAL *restrict constant,
                                                const int16_t *restrict bits, i64 units, i64 bits_in_row, i64 from,
                                                i64 to, REAL slope, int16_t threshold, REAL factor)
{
    for (i64 i = from; i < to; i++) {
        const REAL *restrict row = x + i * units;
        const int16_t *restrict drawn = bits + i * bits_in_row;
        REAL *restrict result = out + i * units;
        for (i64 u = 0; u < units; u++) {
            REAL z = row[u] * scale[u] + constant[u];
            result[u] = z > 0 ? z : slope * z;
        }
        if (bits)
            for (i64 u = 0; u < units; u++) result[u] *= drawn[u] >= threshold ? factor : 0;
    }
}

/* x, out (m, n, units); what is of a column (m, units): mean and inverse are filled, the running ones move by share;
 * bits as in lamina_forward. */
void NAME(lamina_normalize)(const REAL *x, REAL *out, const REAL *gamma, const REAL *beta, REAL *mean, REAL *inverse,
                            REAL *running_mean, REAL *running_variance, const int16_t *bits, i64 bits_in_row, i64 m,
                            i64 n, i64 units, double share, double epsilon, double slope, i64 threshold, double factor)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks), columns = m * blocks * units;
    REAL *sums = allocate(4 * columns * sizeof(REAL)), *squares = sums + columns;
    REAL *scale = squares + columns, *constant = scale + columns;
    int in_parallel = m * n * units > ON_ONE_THREAD;
#pragma omp parallel for collapse(2) schedule(static) if (in_parallel)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++) {
            i64 of = (j * blocks + block) * units, from = smaller(n, block * height);
            NAME(moments_part)(x + j * n * units, sums + of, squares + of, units, from, smaller(n, from + height));
        }
    for (i64 j = 0; j < m; j++) {
        i64 first = j * blocks * units, of = j * units;
        NAME(add_up)(sums + first, scale + of, blocks, units);
        NAME(add_up)(squares + first, constant + of, blocks, units);
        for (i64 u = of; u < of + units; u++) {
            REAL off = scale[u] / n, variance = constant[u] / n - off * off;
            variance = variance < 0 ? 0 : variance;
            mean[u] = x[j * n * units + u - of] + off;
            inverse[u] = 1 / SQRT(variance + (REAL)epsilon);
            running_mean[u] += (REAL)share * (mean[u] - running_mean[u]);
            running_variance[u] += (REAL)share * (variance * n / (n - 1) - running_variance[u]);
            scale[u] = inverse[u] * gamma[u];
            constant[u] = beta[u] - mean[u] * scale[u];
        }
    }
#pragma omp parallel for collapse(2) schedule(static) if (in_parallel)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            NAME(normalize_part)(x + j * n * units, out + j * n * units, scale + j * units, constant + j * units,
                                 bits ? bits + j * units : NULL, units, bits_in_row, block * height,
                                 smaller(n, (block + 1) * height), (REAL)slope, (int16_t)threshold, (REAL)factor);
    free(sums);
}

/* First: gradient <- by the normalized x, from that by the result y, in rows [from, to); sums <- of its columns, with_x
 * <- of its products with what x is above the mean. */
FOR_PROCESSORS static void NAME(gradients_part)(REAL *restrict gradient, const REAL *restrict y,
                                                const REAL *restrict x, const REAL *restrict mean,
                                                REAL *restrict sums, REAL *restrict with_x, i64 units, i64 from,
                                                i64 to, REAL where_positive, REAL elsewhere)
{
    for (i64 left = 0; left < units; left += COLUMNS) {
        REAL sum[COLUMNS] = {0}, product[COLUMNS] = {0};
        i64 width = smaller(COLUMNS, units - left);
        for (i64 i = from; i < to; i++) {
            const REAL *restrict result = y + i * units + left, *restrict row = x + i * units + left;
            REAL *restrict by_row = gradient + i * units + left;
            for (i64 u = 0; u < width; u++) {
                by_row[u] *= result[u] > 0 ? where_positive : elsewhere;
                sum[u] += by_row[u];
                product[u] += by_row[u] * (row[u] - mean[left + u]);
            }
        }
        for (i64 u = 0; u < width; u++) sums[left + u] = sum[u], with_x[left + u] = product[u];
    }
}

/* Then: gradient <- by x. */
FOR_PROCESSORS static void NAME(normalize_back_part)(REAL *restrict gradient, const REAL *restrict x,
                                                     const REAL *restrict mean, const REAL *restrict scale,
                                                     const REAL *restrict sum, const REAL *restrict with_x, i64 units,
                                                     i64 from, i64 to)
{
    for (i64 i = from; i < to; i++)
        for (i64 u = 0; u < units; u++)
            gradient[i * units + u] =
                scale[u] * (gradient[i * units + u] - sum[u] - (x[i * units + u] - mean[u]) * with_x[u]);
}

void NAME(lamina_normalize_back)(REAL *gradient, const REAL *y, const REAL *x, const REAL *gamma, const REAL *mean,
                                 const REAL *inverse, REAL *by_gamma, REAL *by_beta, i64 m, i64 n, i64 units,
                                 double slope, double factor)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks), columns = m * blocks * units;
    REAL *sums = allocate(3 * columns * sizeof(REAL)), *with_x = sums + columns, *scale = with_x + columns;
    int in_parallel = m * n * units > ON_ONE_THREAD;
#pragma omp parallel for collapse(2) schedule(static) if (in_parallel)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++) {
            i64 at = j * n * units, of = (j * blocks + block) * units, from = smaller(n, block * height);
            NAME(gradients_part)(gradient + at, y + at, x + at, mean + j * units, sums + of, with_x + of, units, from,
                                 smaller(n, from + height), (REAL)factor, (REAL)(slope * factor));
        }
    for (i64 j = 0; j < m; j++) {
        i64 first = j * blocks * units, of = j * units;
        NAME(add_up)(sums + first, by_beta + of, blocks, units);
        NAME(add_up)(with_x + first, by_gamma + of, blocks, units);
        for (i64 u = 0; u < units; u++) {
            sums[of + u] = by_beta[of + u] / n; /* at most first + u, which has been added up */
            with_x[of + u] = by_gamma[of + u] * inverse[of + u] * inverse[of + u] / n;
            by_gamma[of + u] *= inverse[of + u];
            scale[of + u] = inverse[of + u] * gamma[of + u];
        }
    }
#pragma omp parallel for collapse(2) schedule(static) if (in_parallel)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            NAME(normalize_back_part)(gradient + j * n * units, x + j * n * units, mean + j * units,
                                      scale + j * units, sums + j * units, with_x + j * units, units, block * height,
                                      smaller(n, (block + 1) * height));
    free(sums);
}

/* Softmax of rows [from, to) of outputs (n, k), its cross-entropy with target and smoothed labels times weights, and
 * scale times the gradient of that; returns the sum. */
FOR_PROCESSORS static double NAME(cross_entropy_part)(const REAL *outputs, const i64 *target, const REAL *weights,
                                                      i64 weight_distance, REAL *gradient, i64 k, i64 from, i64 to,
                                                      REAL smoothing, REAL scale)
{
    REAL share = smoothing / k;
    double sum = 0;
    for (i64 i = from; i < to; i++) {
        const REAL *z = outputs + i * k;
        REAL *e = gradient + i * k;
        REAL largest = z[0], total = 0, of_all = 0, weight = weights ? weights[i * weight_distance] : 1;
        if (target[i] < 0 || target[i] >= k) return NAN; /* no class: the loss says that something is wrong */
        for (i64 c = 1; c < k; c++) largest = z[c] > largest ? z[c] : largest;
        for (i64 c = 0; c < k; c++) {
            of_all += z[c] - largest;
            e[c] = EXP(z[c] - largest);
            total += e[c];
        }
        sum += weight * (LOG(total) - (1 - smoothing) * (z[target[i]] - largest) - share * of_all);
        for (i64 c = 0; c < k; c++) e[c] = scale * weight * (e[c] / total - share);
        e[target[i]] -= scale * weight * (1 - smoothing);
    }
    return sum;
}

/* The columns of weight (units, k) one after the other, and columns of 0 up to a multiple of 4. */
static void NAME(transpose)(const REAL *weight, REAL *transposed, i64 units, i64 k)
{
    for (i64 c = 0; c < (k + 3) / 4 * 4; c++)
        for (i64 u = 0; u < units; u++) transposed[c * units + u] = c < k ? weight[u * k + c] : 0;
}

/* gradient <- 2 weight scale (outputs - target) / k of rows [from, to) of (n, k); returns the sum over rows of the mean
 * square times the weight. */
FOR_PROCESSORS static double NAME(squared_error_part)(const REAL *outputs, const REAL *target, const REAL *weights,
                                                      i64 weight_distance, REAL *gradient, i64 k, i64 from, i64 to,
                                                      REAL scale)
{
    double sum = 0;
    for (i64 i = from; i < to; i++) {
        REAL weight = weights ? weights[i * weight_distance] : 1;
        for (i64 u = i * k; u < (i + 1) * k; u++) {
            REAL off = outputs[u] - target[u];
            sum += weight * off * off;
            gradient[u] = 2 * scale / k * weight * off;
        }
    }
    return sum / k;
}

static double NAME(loss_part)(i64 kind, const REAL *outputs, const void *target, const REAL *weights,
                              i64 weight_distance, REAL *gradient, i64 k, i64 from, i64 to, REAL option, REAL scale)
{
    if (kind == CROSS_ENTROPY)
        return NAME(cross_entropy_part)(outputs, target, weights, weight_distance, gradient, k, from, to, option, scale);
    return NAME(squared_error_part)(outputs, target, weights, weight_distance, gradient, k, from, to, scale);
}

/* outputs, gradient (m, n, k); weights of rows and members at any distances, or NULL; mean <- the mean over m * n. */
void NAME(lamina_loss)(i64 kind, const REAL *outputs, const void *target, const REAL *weights, i64 of_member,
                       i64 of_row, REAL *mean, REAL *gradient, i64 m, i64 n, i64 k, double option)
{
    double sums[LARGEST_BLOCKS];
    i64 blocks = smaller(LARGEST_BLOCKS, part_of(m * n * k, 1024)), height = part_of(m * n, blocks);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (i64 block = 0; block < blocks; block++) {
        sums[block] = 0;
        for (i64 at = block * height, end = smaller(m * n, at + height), next; at < end; at = next) {
            i64 j = at / n, first = j * n; /* rows of one member at a time */
            next = smaller(end, first + n);
            sums[block] += NAME(loss_part)(kind, outputs + first * k, target, weights ? weights + j * of_member : NULL,
                                           of_row, gradient + first * k, k, at - first, next - first, (REAL)option,
                                           (REAL)(1.0 / (m * n)));
        }
    }
    double sum = 0;
    for (i64 block = 0; block < blocks; block++) sum += sums[block];
    *mean = (REAL)(sum / (m * n));
}

/* out (n, k) <- x W + bias in rows [from, to), for a W (units, k) of few columns. */
FOR_PROCESSORS static void NAME(narrow_forward_part)(const REAL *restrict x, const REAL *restrict weight,
                                                     const REAL *restrict bias, REAL *restrict out, i64 units, i64 k,
                                                     i64 from, i64 to)
{
    REAL transposed[LARGEST_NARROW];
    NAME(transpose)(weight, transposed, units, k);
    for (i64 i = from; i < to; i++)
        for (i64 c = 0; c < k; c++) {
            REAL sum = 0;
            for (i64 u = 0; u < units; u++) sum += x[i * units + u] * transposed[c * units + u];
            out[i * k + c] = sum + bias[c];
        }
}

/* x (m, n, units), weight (m, units, k), bias of members at equal distances, out (m, n, k). */
void NAME(lamina_narrow_forward)(const REAL *x, const REAL *weight, const REAL *bias, i64 bias_distance, REAL *out,
                                 i64 m, i64 n, i64 units, i64 k)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks);
#pragma omp parallel for collapse(2) schedule(static) if (m * n * units > ON_ONE_THREAD)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++)
            NAME(narrow_forward_part)(x + j * n * units, weight + j * units * k, bias + j * bias_distance,
                                      out + j * n * k, units, k, block * height, smaller(n, (block + 1) * height));
}

/* by_x (n, units) <- gradient (n, k) times the transposed W in rows [from, to). */
FOR_PROCESSORS static void NAME(narrow_to_input_part)(const REAL *restrict gradient, const REAL *restrict weight,
                                                      REAL *restrict by_x, i64 units, i64 k, i64 from, i64 to)
{
    REAL transposed[LARGEST_NARROW];
    NAME(transpose)(weight, transposed, units, k);
    for (i64 i = from; i < to; i++) {
        REAL *restrict row = by_x + i * units;
        for (i64 u = 0; u < units; u++) row[u] = 0;
        for (i64 c = 0; c < k; c += 4) {
            const REAL *restrict column = transposed + c * units;
            REAL share[4] = {0};
            for (i64 left = c; left < smaller(c + 4, k); left++) share[left - c] = gradient[i * k + left];
            for (i64 u = 0; u < units; u++)
                row[u] += share[0] * column[u] + share[1] * column[units + u] + share[2] * column[2 * units + u] +
                          share[3] * column[3 * units + u];
        }
    }
}

/* by_weight (k, units) <- the transposed gradient (n, k) times x (n, units), of rows [from, to), four at once. */
FOR_PROCESSORS static void NAME(narrow_to_weight_part)(const REAL *restrict x, const REAL *restrict gradient,
                                                       REAL *restrict by_weight, i64 units, i64 k, i64 from, i64 to)
{
    REAL sums[LARGEST_NARROW];
    for (i64 u = 0; u < units * k; u++) sums[u] = 0;
    for (i64 i = from; i < to; i += 4) {
        const REAL *restrict row = x + i * units, *restrict by_row = gradient + i * k;
        i64 rows = smaller(4, to - i);
        for (i64 c = 0; c < k; c++) {
            REAL *restrict column = sums + c * units;
            if (rows == 4)
                for (i64 u = 0; u < units; u++)
                    column[u] += by_row[c] * row[u] + by_row[k + c] * row[units + u] +
                                 by_row[2 * k + c] * row[2 * units + u] + by_row[3 * k + c] * row[3 * units + u];
            for (i64 r = 0; rows < 4 && r < rows; r++)
                for (i64 u = 0; u < units; u++) column[u] += by_row[r * k + c] * row[r * units + u];
        }
    }
    for (i64 u = 0; u < units * k; u++) by_weight[u] = sums[u];
}

/* by_weight (units, k) <- its transpose; by_bias <- the sums of the columns of gradient (n, k). */
static void NAME(narrow_sums)(const REAL *transposed, const REAL *gradient, REAL *by_weight, REAL *by_bias, i64 n,
                              i64 units, i64 k)
{
    for (i64 u = 0; u < units; u++)
        for (i64 c = 0; c < k; c++) by_weight[u * k + c] = transposed[c * units + u];
    for (i64 c = 0; c < k; c++) {
        REAL sum = 0;
        for (i64 i = 0; i < n; i++) sum += gradient[i * k + c];
        by_bias[c] = sum;
    }
}

void NAME(lamina_narrow_backward)(const REAL *gradient, const REAL *x, const REAL *weight, REAL *by_x,
                                  REAL *by_weight, REAL *by_bias, i64 bias_distance, i64 m, i64 n, i64 units, i64 k)
{
    i64 blocks = blocks_for(m), height = part_of(n, blocks);
    REAL *sums = allocate(m * blocks * units * k * sizeof(REAL));
#pragma omp parallel for collapse(2) schedule(static) if (m * n * units > ON_ONE_THREAD)
    for (i64 j = 0; j < m; j++)
        for (i64 block = 0; block < blocks; block++) {
            const REAL *of_member = gradient + j * n * k;
            i64 from = smaller(n, block * height), to = smaller(n, from + height);
            NAME(narrow_to_weight_part)(x + j * n * units, of_member, sums + (j * blocks + block) * units * k, units, k,
                                        from, to);
            NAME(narrow_to_input_part)(of_member, weight + j * units * k, by_x + j * n * units, units, k, from, to);
        }
    for (i64 j = 0; j < m; j++) {
        REAL *of_member = sums + j * blocks * units * k;
        NAME(add_up)(of_member, of_member, blocks, units * k);
        NAME(narrow_sums)(of_member, gradient + j * n * k, by_weight + j * units * k, by_bias + j * bias_distance, n,
                          units, k);
    }
    free(sums);
}

/* What a step of Adam multiplies with (Kingma and Ba 2015, algorithm 1); kept: what is left of a weight that decays. */
struct NAME(update) {
    REAL rate, beta1, beta2, root, epsilon, kept, penalty;
};

/* decoupled: decay as in AdamW (Loshchilov and Hutter 2019, algorithm 2); else as a penalty. */
static struct NAME(update) NAME(update_of)(const struct adam *step, double decay)
{
    return (struct NAME(update)){
        .rate = (REAL)(step->rate / (1 - pow(step->beta1, step->count))),
        .beta1 = (REAL)step->beta1,
        .beta2 = (REAL)step->beta2,
        .root = (REAL)(1 / sqrt(1 - pow(step->beta2, step->count))),
        .epsilon = (REAL)step->epsilon,
        .kept = (REAL)(step->decoupled ? 1 - step->rate * decay : 1),
        .penalty = (REAL)(step->decoupled ? 0 : decay),
    };
}

/* On n numbers. A moment that has all but decayed is set to 0: with numbers below 1.2e-38 a processor takes a hundred
 * times as long. */
FOR_PROCESSORS static void NAME(adam_part)(REAL *restrict weight, const REAL *restrict gradient,
                                           REAL *restrict mean, REAL *restrict square, i64 n,
                                           const struct NAME(update) *update)
{
    const struct NAME(update) by = *update;
    const REAL tiny = (REAL)1e-36;
    for (i64 i = 0; i < n; i++) {
        REAL slope = gradient[i] + by.penalty * weight[i];
        REAL first = mean[i] + (1 - by.beta1) * (slope - mean[i]);
        REAL second = by.beta2 * square[i] + (1 - by.beta2) * slope * slope;
        mean[i] = first > tiny || first < -tiny ? first : 0;
        square[i] = second > tiny ? second : 0;
        weight[i] = by.kept * weight[i] - by.rate * mean[i] / (SQRT(square[i]) * by.root + by.epsilon);
    }
}

void NAME(lamina_adam)(REAL *weight, const REAL *gradient, REAL *mean, REAL *square, i64 n, const struct adam *step,
                       double decay)
{
    struct NAME(update) update = NAME(update_of)(step, decay);
    i64 blocks = blocks_for(1), width = width_of(n, blocks);
#pragma omp parallel for schedule(static) if (n > ON_ONE_THREAD)
    for (i64 block = 0; block < blocks; block++) {
        i64 from = smaller(n, block * width), to = smaller(n, from + width);
        NAME(adam_part)(weight + from, gradient + from, mean + from, square + from, to - from, &update);
    }
}
