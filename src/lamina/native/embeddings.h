/* Inputs made of numbers and codes, for c members at once and one kind of number; kernels.c includes this file twice. A column's
 * learned numbers lie one after the other, and those of members at equal distances. */

/* share (n, d) <- how far each x reaches into its piece, from 0 to 1, and place <- which one that is. Column j has
 * n_pieces[j] of them; they begin at left (d, pieces), and scale is 1 / their width. */
FOR_PROCESSORS static void NAME(find_part)(const REAL *x, const REAL *left, const REAL *scale, const i64 *n_pieces,
                                           int32_t *place, REAL *share, i64 d, i64 pieces, i64 from, i64 to)
{
    for (i64 i = from; i < to; i++)
        for (i64 j = 0; j < d; j++) {
            const REAL *begins = left + j * pieces;
            REAL number = x[i * d + j];
            int32_t t = 0;
            for (i64 left_over = n_pieces[j], half; left_over > 1; left_over -= half) {
                half = left_over / 2;
                t += number >= begins[t + half] ? (int32_t)half : 0;
            }
            REAL into = (number - begins[t]) * scale[j * pieces + t];
            place[i * d + j] = t;
            share[i * d + j] = into < 0 ? 0 : into > 1 ? 1 : into; /* NaN stays */
        }
}

void NAME(lamina_find_pieces)(const REAL *x, const REAL *left, const REAL *scale, const i64 *n_pieces, int32_t *place,
                              REAL *share, i64 n, i64 d, i64 pieces)
{
    i64 blocks = blocks_for(1), height = part_of(n, blocks);
#pragma omp parallel for schedule(static) if (n * d * pieces > ON_ONE_THREAD)
    for (i64 block = 0; block < blocks; block++)
        NAME(find_part)(x, left, scale, n_pieces, place, share, d, pieces, block * height,
                        smaller(n, (block + 1) * height));
}

/* The pieces before that of a number are all 1 and those behind it 0 (lamina/network/embeddings.py), so that W^T p is
 * the sum of the weights of those before, and a share of one. Here: sums (d, pieces, width) <- bias + the former. */
FOR_PROCESSORS static void NAME(sums_before)(const REAL *restrict weight, const REAL *restrict bias,
                                             REAL *restrict sums, i64 d, i64 pieces, i64 width)
{
    for (i64 j = 0; j < d; j++)
        for (i64 t = 0; t < pieces; t++)
            for (i64 u = 0; u < width; u++) {
                i64 at = (j * pieces + t) * width + u;
                sums[at] = t ? sums[at - width] + weight[at - width] : bias[j * width + u];
            }
}

ALWAYS_INLINE void NAME(pieces_of)(const int32_t *restrict place, const REAL *restrict share,
                                   const REAL *restrict weight, const REAL *restrict sums, REAL *restrict out,
                                   i64 out_row, i64 d, i64 pieces, i64 width, i64 from, i64 to)
{
    for (i64 i = from; i < to; i++)
        for (i64 j = 0; j < d; j++) {
            i64 at = (j * pieces + place[i * d + j]) * width;
            REAL *restrict result = out + i * out_row + j * width, into = share[i * d + j];
            for (i64 u = 0; u < width; u++) {
                REAL z = sums[at + u] + into * weight[at + u];
                result[u] = z > 0 || z != z ? z : 0; /* NaN stays */
            }
        }
}

FOR_PROCESSORS static void NAME(pieces_part)(const int32_t *place, const REAL *share, const REAL *weight,
                                             const REAL *sums, REAL *out, i64 out_row, i64 d, i64 pieces, i64 width,
                                             i64 from, i64 to)
{
    if (width == 8) /* as it is in the defaults; vectors need to know */
        NAME(pieces_of)(place, share, weight, sums, out, out_row, d, pieces, 8, from, to);
    else
        NAME(pieces_of)(place, share, weight, sums, out, out_row, d, pieces, width, from, to);
}

/* out (c, n, d * width) <- max(0, W^T p + b); weight (c, d, pieces, width), bias (c, d, width). */
void NAME(lamina_pieces)(const int32_t *place, const REAL *share, const REAL *weight, i64 weight_distance,
                         const REAL *bias, i64 bias_distance, REAL *out, i64 out_distance, i64 out_row, i64 c, i64 n,
                         i64 d, i64 pieces, i64 width)
{
    i64 blocks = blocks_for(c), height = part_of(n, blocks), size = d * pieces * width;
    REAL *sums = allocate(c * size * sizeof(REAL));
    for (i64 m = 0; m < c; m++)
        NAME(sums_before)(weight + m * weight_distance, bias + m * bias_distance, sums + m * size, d, pieces, width);
#pragma omp parallel for collapse(2) schedule(static) if (c * n * d * width > ON_ONE_THREAD)
    for (i64 m = 0; m < c; m++)
        for (i64 block = 0; block < blocks; block++)
            NAME(pieces_part)(place, share, weight + m * weight_distance, sums + m * size, out + m * out_distance,
                              out_row, d, pieces, width, block * height, smaller(n, (block + 1) * height));
    free(sums);
}

ALWAYS_INLINE void NAME(pieces_back_of)(const int32_t *restrict place, const REAL *restrict share,
                                        const REAL *restrict gradient, i64 gradient_row, const REAL *restrict out,
                                        i64 out_row, REAL *restrict sums, i64 d, i64 pieces, i64 width, i64 from,
                                        i64 to)
{
    i64 size = d * pieces * width;
    for (i64 i = from; i < to; i++)
        for (i64 j = 0; j < d; j++) {
            const REAL *restrict by_result = gradient + i * gradient_row + j * width;
            const REAL *restrict result = out + i * out_row + j * width;
            REAL *restrict sum = sums + (j * pieces + place[i * d + j]) * width, *restrict of_share = sum + size;
            REAL into = share[i * d + j];
            for (i64 u = 0; u < width; u++) {
                REAL by_z = result[u] > 0 ? by_result[u] : 0;
                sum[u] += by_z;
                of_share[u] += into * by_z;
            }
        }
}

/* sums (2, d, pieces, width) <- of the gradients of a piece's rows, and of their shares of them, in rows [from, to). */
FOR_PROCESSORS static void NAME(pieces_back_part)(const int32_t *place, const REAL *share, const REAL *gradient,
                                                  i64 gradient_row, const REAL *out, i64 out_row, REAL *sums, i64 d,
                                                  i64 pieces, i64 width, i64 from, i64 to)
{
    for (i64 u = 0; u < 2 * d * pieces * width; u++) sums[u] = 0;
    if (width == 8)
        NAME(pieces_back_of)(place, share, gradient, gradient_row, out, out_row, sums, d, pieces, 8, from, to);
    else
        NAME(pieces_back_of)(place, share, gradient, gradient_row, out, out_row, sums, d, pieces, width, from, to);
}

/* The gradients by weight and bias: of a piece's rows their shares, and all of those whose piece comes later. */
FOR_PROCESSORS static void NAME(pieces_behind)(const REAL *restrict sums, REAL *restrict by_weight,
                                               REAL *restrict by_bias, i64 d, i64 pieces, i64 width)
{
    for (i64 j = 0; j < d; j++) {
        REAL *restrict behind = by_bias + j * width;
        for (i64 u = 0; u < width; u++) behind[u] = 0;
        for (i64 t = pieces - 1; t >= 0; t--)
            for (i64 u = 0; u < width; u++) {
                i64 at = (j * pieces + t) * width + u;
                by_weight[at] = behind[u] + sums[d * pieces * width + at];
                behind[u] += sums[at];
            }
    }
}

void NAME(lamina_pieces_back)(const int32_t *place, const REAL *share, const REAL *gradient, i64 gradient_distance,
                              i64 gradient_row, const REAL *out, i64 out_distance, i64 out_row, REAL *by_weight,
                              i64 weight_distance, REAL *by_bias, i64 bias_distance, i64 c, i64 n, i64 d, i64 pieces,
                              i64 width)
{
    i64 blocks = blocks_for(c), height = part_of(n, blocks), size = d * pieces * width;
    REAL *sums = allocate(2 * c * blocks * size * sizeof(REAL));
#pragma omp parallel for collapse(2) schedule(static) if (c * n * d * width > ON_ONE_THREAD)
    for (i64 m = 0; m < c; m++)
        for (i64 block = 0; block < blocks; block++) {
            i64 from = smaller(n, block * height);
            NAME(pieces_back_part)(place, share, gradient + m * gradient_distance, gradient_row,
                                   out + m * out_distance, out_row, sums + 2 * (m * blocks + block) * size, d, pieces,
                                   width, from, smaller(n, from + height));
        }
#pragma omp parallel for schedule(static) if (c * size > ON_ONE_THREAD / 4)
    for (i64 m = 0; m < c; m++) {
        REAL *of_member = sums + 2 * m * blocks * size;
        if (blocks > 1) NAME(add_up)(of_member, of_member, blocks, 2 * size);
        NAME(pieces_behind)(of_member, by_weight + m * weight_distance, by_bias + m * bias_distance, d, pieces, width);
    }
    free(sums);
}

static REAL NAME(sum_of)(const REAL *lanes)
{
    REAL sum = 0;
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}

/* Cosine and sine of 2 π t by the series of sin(2 π r), r being at most a quarter. */
ALWAYS_INLINE REAL NAME(cosine)(REAL t)
{
    REAL r = (REAL)0.25 - FABS(t - RINT(t));
    return r * SERIES(r * r);
}

ALWAYS_INLINE REAL NAME(sine)(REAL t)
{
    REAL r = t - RINT(t), size = FABS(r), near = size > (REAL)0.25 ? (REAL)0.5 - size : size;
    REAL turned = r < 0 ? -near : near;
    return turned * SERIES(turned * turned);
}

/* Columns first to first + 4 of mixture (f, width), those beyond its width of 0. */
static void NAME(four_of)(const REAL *mixture, REAL (*shares)[4], i64 frequencies, i64 width, i64 first)
{
    for (i64 f = 0; f < frequencies; f++)
        for (i64 u = 0; u < 4; u++) shares[f][u] = first + u < width ? mixture[f * width + first + u] : 0;
}

/* Column j of one member: out <- W^T cos(2 π f x + p) + b; x (n, d), frequency, phase (f,), mixture (f, width).
 * LANES rows and four mixtures at once, which have an array each: vectors are then made along the rows. */
FOR_PROCESSORS static void NAME(periodic_part)(const REAL *x, const REAL *frequency, const REAL *phase,
                                               const REAL *mixture, const REAL *bias, REAL *out, i64 out_row, i64 n,
                                               i64 d, i64 frequencies, i64 width)
{
    for (i64 first = 0; first < width; first += 4) {
        REAL shares[MOST_FREQUENCIES][4];
        i64 left = smaller(4, width - first);
        NAME(four_of)(mixture, shares, frequencies, width, first);
        for (i64 i = 0; i < n; i += LANES) {
            REAL at[LANES] = {0};
            i64 rows = smaller(LANES, n - i);
            for (i64 l = 0; l < rows; l++) at[l] = x[(i + l) * d];
            REAL mixed[4][LANES], *restrict w = mixed[0], *restrict y = mixed[1], *restrict z = mixed[2];
            REAL *restrict v = mixed[3];
            memset(mixed, 0, sizeof mixed);
            for (i64 f = 0; f < frequencies; f++) {
                REAL often = frequency[f], start = phase[f] * (REAL)ONE_BY_TWO_PI;
                REAL a = shares[f][0], b = shares[f][1], c = shares[f][2], e = shares[f][3];
                for (int l = 0; l < LANES; l++) {
                    REAL wave = NAME(cosine)(often * at[l] + start);
                    w[l] += a * wave;
                    y[l] += b * wave;
                    z[l] += c * wave;
                    v[l] += e * wave;
                }
            }
            for (i64 l = 0; l < rows; l++)
                for (i64 u = 0; u < left; u++) out[(i + l) * out_row + first + u] = mixed[u][l] + bias[first + u];
        }
    }
}

/* bounded (n, d) <- x / sqrt(1 + (x / 3)^2), and a copy of it to out (c, n, d) of each member. */
void NAME(lamina_bound)(const REAL *x, REAL *bounded, REAL *out, i64 out_distance, i64 out_row, i64 c, i64 n, i64 d)
{
    for (i64 u = 0; u < n * d; u++) bounded[u] = x[u] / SQRT(1 + x[u] * x[u] / 9);
    for (i64 m = 0; m < c; m++)
        for (i64 i = 0; i < n; i++)
            memcpy(out + m * out_distance + i * out_row, bounded + i * d, (size_t)d * sizeof(REAL));
}

/* x (n, d); frequency, phase (c, d, f), mixture (c, d, f, width), bias (c, d, width), each at its distance. */
void NAME(lamina_periodic)(const REAL *x, const REAL *frequency, i64 frequency_distance, const REAL *phase,
                           i64 phase_distance, const REAL *mixture, i64 mixture_distance, const REAL *bias,
                           i64 bias_distance, REAL *out, i64 out_distance, i64 out_row, i64 c, i64 n, i64 d,
                           i64 frequencies, i64 width)
{
#pragma omp parallel for collapse(2) schedule(static) if (c * n * d * frequencies > ON_ONE_THREAD / 8)
    for (i64 m = 0; m < c; m++)
        for (i64 j = 0; j < d; j++)
            NAME(periodic_part)(x + j, frequency + m * frequency_distance + j * frequencies,
                                phase + m * phase_distance + j * frequencies,
                                mixture + m * mixture_distance + j * frequencies * width,
                                bias + m * bias_distance + j * width, out + m * out_distance + j * width, out_row, n, d,
                                frequencies, width);
}

/* The gradients by what column j of one member has learned, from that by its result. */
FOR_PROCESSORS static void NAME(periodic_back_part)(const REAL *x, const REAL *frequency, const REAL *phase,
                                                    const REAL *mixture, const REAL *gradient, i64 gradient_row,
                                                    REAL *by_frequency, REAL *by_phase, REAL *by_mixture,
                                                    REAL *by_bias, i64 n, i64 d, i64 frequencies, i64 width)
{
    for (i64 first = 0; first < width; first += 4) {
        REAL of_phase[MOST_FREQUENCIES][LANES], of_frequency[MOST_FREQUENCIES][LANES];
        REAL of_mixture[MOST_FREQUENCIES][4][LANES], of_bias[4] = {0};
        REAL shares[MOST_FREQUENCIES][4];
        i64 left = smaller(4, width - first);
        NAME(four_of)(mixture, shares, frequencies, width, first);
        memset(of_phase, 0, sizeof of_phase);
        memset(of_frequency, 0, sizeof of_frequency);
        memset(of_mixture, 0, sizeof of_mixture);
        for (i64 i = 0; i < n; i += LANES) {
            REAL at[LANES] = {0}, by[4][LANES], *restrict w = by[0], *restrict y = by[1], *restrict z = by[2];
            REAL *restrict v = by[3];
            i64 rows = smaller(LANES, n - i);
            memset(by, 0, sizeof by);
            for (i64 l = 0; l < rows; l++) {
                at[l] = x[(i + l) * d];
                for (i64 u = 0; u < left; u++) {
                    by[u][l] = gradient[(i + l) * gradient_row + first + u];
                    of_bias[u] += by[u][l];
                }
            }
            for (i64 f = 0; f < frequencies; f++) {
                REAL often = frequency[f], start = phase[f] * (REAL)ONE_BY_TWO_PI;
                REAL a = shares[f][0], b = shares[f][1], c = shares[f][2], e = shares[f][3];
                REAL *restrict of_w = of_mixture[f][0], *restrict of_y = of_mixture[f][1];
                REAL *restrict of_z = of_mixture[f][2], *restrict of_v = of_mixture[f][3];
                REAL *restrict angle = of_phase[f], *restrict angle_by_x = of_frequency[f];
                for (int l = 0; l < LANES; l++) {
                    REAL t = often * at[l] + start, wave = NAME(cosine)(t);
                    REAL by_angle = -(a * w[l] + b * y[l] + c * z[l] + e * v[l]) * NAME(sine)(t);
                    of_w[l] += w[l] * wave;
                    of_y[l] += y[l] * wave;
                    of_z[l] += z[l] * wave;
                    of_v[l] += v[l] * wave;
                    angle[l] += by_angle;
                    angle_by_x[l] += by_angle * at[l];
                }
            }
        }
        for (i64 u = 0; u < left; u++) by_bias[first + u] = of_bias[u];
        for (i64 f = 0; f < frequencies; f++) {
            REAL by_angle = NAME(sum_of)(of_phase[f]), by_x = NAME(sum_of)(of_frequency[f]) / (REAL)ONE_BY_TWO_PI;
            by_phase[f] = first ? by_phase[f] + by_angle : by_angle;
            by_frequency[f] = first ? by_frequency[f] + by_x : by_x;
            for (i64 u = 0; u < left; u++) by_mixture[f * width + first + u] = NAME(sum_of)(of_mixture[f][u]);
        }
    }
}

/* The distances are those of the learned numbers and of their gradients alike. */
void NAME(lamina_periodic_back)(const REAL *x, const REAL *frequency, const REAL *phase, const REAL *mixture,
                                const REAL *gradient, i64 gradient_distance, i64 gradient_row, REAL *by_frequency,
                                i64 frequency_distance, REAL *by_phase, i64 phase_distance, REAL *by_mixture,
                                i64 mixture_distance, REAL *by_bias, i64 bias_distance, i64 c, i64 n, i64 d,
                                i64 frequencies, i64 width)
{
#pragma omp parallel for collapse(2) schedule(static) if (c * n * d * frequencies > ON_ONE_THREAD / 8)
    for (i64 m = 0; m < c; m++)
        for (i64 j = 0; j < d; j++) {
            i64 of_frequency = m * frequency_distance + j * frequencies;
            i64 of_phase = m * phase_distance + j * frequencies;
            i64 of_mixture = m * mixture_distance + j * frequencies * width, of_bias = m * bias_distance + j * width;
            NAME(periodic_back_part)(x + j, frequency + of_frequency, phase + of_phase, mixture + of_mixture,
                                     gradient + m * gradient_distance + j * width, gradient_row,
                                     by_frequency + of_frequency, by_phase + of_phase, by_mixture + of_mixture,
                                     by_bias + of_bias, n, d, frequencies, width);
        }
}

/* out (c, n, columns) <- 1 where column k is of the code that a row has at which[k], else 0; codes (n, n_codes). */
void NAME(lamina_one_hot)(const int32_t *codes, const i64 *which, const int32_t *code, REAL *out, i64 out_distance,
                          i64 out_row, i64 c, i64 n, i64 n_codes, i64 columns)
{
#pragma omp parallel for schedule(static) if (c * n * columns > ON_ONE_THREAD)
    for (i64 i = 0; i < n; i++) {
        REAL *row = out + i * out_row;
        for (i64 k = 0; k < columns; k++) row[k] = codes[i * n_codes + which[k]] == code[k];
        for (i64 m = 1; m < c; m++) memcpy(row + m * out_distance, row, (size_t)columns * sizeof(REAL));
    }
}

/* out (c, n, width) <- the row of each table (c, n_codes, width) that the code of a row names. */
void NAME(lamina_pick)(const REAL *table, i64 table_distance, const int32_t *codes, i64 code_distance, REAL *out,
                       i64 out_distance, i64 out_row, i64 c, i64 n, i64 width)
{
#pragma omp parallel for schedule(static) if (c * n * width > ON_ONE_THREAD / 4)
    for (i64 m = 0; m < c; m++)
        for (i64 i = 0; i < n; i++)
            memcpy(out + m * out_distance + i * out_row,
                   table + m * table_distance + codes[i * code_distance] * width, (size_t)width * sizeof(REAL));
}

/* by_table (c, n_codes, width) <- the sums of the gradients of each code's rows. */
void NAME(lamina_pick_back)(const REAL *gradient, i64 gradient_distance, i64 gradient_row, const int32_t *codes,
                            i64 code_distance, REAL *by_table, i64 table_distance, i64 c, i64 n, i64 n_codes, i64 width)
{
#pragma omp parallel for schedule(static) if (c * n * width > ON_ONE_THREAD / 4)
    for (i64 m = 0; m < c; m++) {
        REAL *of_member = by_table + m * table_distance;
        for (i64 u = 0; u < n_codes * width; u++) of_member[u] = 0;
        for (i64 i = 0; i < n; i++) {
            REAL *sum = of_member + codes[i * code_distance] * width;
            const REAL *row = gradient + m * gradient_distance + i * gradient_row;
            for (i64 u = 0; u < width; u++) sum[u] += row[u];
        }
    }
}
