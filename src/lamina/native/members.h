/* A whole training step of several networks side by side, one network after the other on each thread: what a layer has
 * written is still near when the next one reads it, and threads wait for each other at the end, not at every layer. */

/* BLAS counts columns first: what is a matrix here is its transpose there. */
typedef void NAME(gemm)(const char *, const char *, const int *, const int *, const int *, const REAL *, const REAL *,
                        const int *, const REAL *, const int *, const REAL *, REAL *, const int *);

static void NAME(multiply)(void *gemm, const char *of_a, const char *of_b, i64 m, i64 n, i64 k, const REAL *a, i64 a_row,
                           const REAL *b, i64 b_row, REAL *c, i64 c_row)
{
    int sizes[3] = {(int)m, (int)n, (int)k}, rows[3] = {(int)a_row, (int)b_row, (int)c_row};
    REAL one = 1, zero = 0;
    ((NAME(gemm) *)gemm)(of_a, of_b, sizes, sizes + 1, sizes + 2, &one, a, rows, b, rows + 1, &zero, c, rows + 2);
}

/* The part of scratch that a thread has: what each layer of its member makes is in outs. */
struct NAME(workplace) {
    REAL *outs, *by_out, *by_x, *gradients, *sums;
};

static const REAL *NAME(input_of)(const struct members_step *step, i64 j)
{
    const struct layer *first = step->layers + j * step->depth;
    return (const REAL *)step->inputs[first->input] + first->x;
}

static void NAME(member_forward)(const struct members_step *step, i64 j, REAL *outs)
{
    const REAL *x = NAME(input_of)(step, j);
    for (i64 l = 0; l < step->depth; l++) {
        const struct layer *at = step->layers + j * step->depth + l;
        const int16_t *bits = step->bits[l] ? step->bits[l] + j * at->fan_out : NULL;
        REAL *out = outs + at->out;
        if (at->is_narrow)
            NAME(narrow_forward_part)(x, at->weight, at->bias, out, at->fan_in, at->fan_out, 0, step->n);
        else
            NAME(multiply)(step->gemm, "N", "N", at->fan_out, step->n, at->fan_in, at->weight, at->weight_row, x,
                           at->fan_in, out, at->fan_out);
        if (!at->is_narrow || at->slope != 1)
            NAME(forward_part)(out, at->is_narrow ? NULL : at->bias, bits, at->fan_out, step->m * at->fan_out, 0,
                               step->n, (REAL)at->slope, (int16_t)at->threshold, (REAL)at->factor);
        x = out;
    }
}

/* Fill by_weight (fan_in, fan_out), its rows at a distance, by_bias, and by_x where it is given; by_out is changed. */
static void NAME(layer_backward)(const struct members_step *step, const struct layer *at, const REAL *x,
                                 const REAL *out, REAL *by_out, REAL *by_x, REAL *by_weight, i64 row, REAL *by_bias,
                                 REAL *sums)
{
    if (!at->is_narrow || at->slope != 1)
        NAME(backward_part)(by_out, out, at->is_narrow ? NULL : by_bias, at->fan_out, 0, step->n, (REAL)at->factor,
                            (REAL)(at->slope * at->factor));
    if (at->is_narrow) {
        NAME(narrow_to_weight_part)(x, by_out, sums, at->fan_in, at->fan_out, 0, step->n);
        NAME(narrow_sums)(sums, by_out, by_weight, by_bias, step->n, at->fan_in, at->fan_out);
        if (by_x) NAME(narrow_to_input_part)(by_out, at->weight, by_x, at->fan_in, at->fan_out, 0, step->n);
        return;
    }
    NAME(multiply)(step->gemm, "N", "T", at->fan_out, at->fan_in, step->n, by_out, at->fan_out, x, at->fan_in, by_weight,
                   row);
    if (by_x)
        NAME(multiply)(step->gemm, "T", "N", at->fan_in, step->n, at->fan_out, at->weight, at->weight_row, by_out,
                       at->fan_out, by_x, at->fan_in);
}

static void NAME(update_layer)(const struct layer *at, const REAL *by_weight, const REAL *by_bias,
                               const struct NAME(update) *of_weights, const struct NAME(update) *of_biases)
{
    REAL *weight = at->weight, *mean = at->weight_mean, *square = at->weight_square;
    int is_dense = at->weight_row == at->fan_out;
    i64 rows = is_dense ? 1 : at->fan_in, n = is_dense ? at->fan_in * at->fan_out : at->fan_out;
    for (i64 i = 0; i < rows; i++)
        NAME(adam_part)(weight + i * at->weight_row, by_weight + i * n, mean + i * at->weight_row,
                        square + i * at->weight_row, n, of_weights);
    NAME(adam_part)(at->bias, by_bias, at->bias_mean, at->bias_square, at->fan_out, of_biases);
}

static void NAME(member_backward)(const struct members_step *step, i64 j, struct NAME(workplace) at_work,
                                  const struct NAME(update) *of_weights, const struct NAME(update) *of_biases)
{
    for (i64 l = step->depth - 1; l >= 0; l--) {
        const struct layer *at = step->layers + j * step->depth + l;
        const REAL *x = l ? at_work.outs + at[-1].out : NAME(input_of)(step, j);
        REAL *by_x = l ? at_work.by_x : at->by_x, *gradients = at_work.gradients;
        REAL *by_weight = step->adam ? gradients : at->by_weight;
        REAL *by_bias = step->adam ? gradients + at->fan_in * at->fan_out : at->by_bias;
        NAME(layer_backward)(step, at, x, at_work.outs + at->out, at_work.by_out, by_x, by_weight,
                             step->adam ? at->fan_out : at->weight_row, by_bias, at_work.sums);
        if (step->adam) NAME(update_layer)(at, by_weight, by_bias, of_weights, of_biases);
        at_work.by_x = at_work.by_out, at_work.by_out = by_x;
    }
}

static double NAME(member_step)(const struct members_step *step, i64 j, struct NAME(workplace) at_work,
                                const struct NAME(update) *of_weights, const struct NAME(update) *of_biases)
{
    const struct layer *last = step->layers + (j + 1) * step->depth - 1;
    const REAL *weights = step->weights ? (const REAL *)step->weights + j * step->of_member : NULL;
    NAME(member_forward)(step, j, at_work.outs);
    double sum = NAME(loss_part)(step->loss, at_work.outs + last->out, step->target, weights, step->of_row,
                                 at_work.by_out, last->fan_out, 0, step->n, (REAL)step->option,
                                 (REAL)(1.0 / (step->m * step->n)));
    NAME(member_backward)(step, j, at_work, of_weights, of_biases);
    return sum;
}

/* Forward, loss, backward and, where step says so, Adam; returns the mean loss over members and rows. */
double NAME(lamina_members_step)(const struct members_step *step)
{
    double sums[step->m], sum = 0;
    struct NAME(update) of_weights = {0}, of_biases = {0};
    if (step->adam) {
        of_weights = NAME(update_of)(step->adam, step->decay);
        of_biases = NAME(update_of)(step->adam, 0);
    }
#pragma omp parallel num_threads((int)smaller(step->threads, omp_get_max_threads()))
    {
        REAL *outs = (REAL *)step->scratch + omp_get_thread_num() * step->scratch_row, *by_out = outs + step->outs;
        REAL *by_x = by_out + step->n * step->widest, *gradients = by_x + step->n * step->widest;
        struct NAME(workplace) at_work = {outs, by_out, by_x, gradients, gradients + step->largest};
        int before = ((int (*)(int))step->set_threads)(1);
        for (i64 j = omp_get_thread_num(); j < step->m; j += omp_get_num_threads())
            sums[j] = NAME(member_step)(step, j, at_work, &of_weights, &of_biases);
        ((int (*)(int))step->set_threads)(before);
    }
    for (i64 j = 0; j < step->m; j++) sum += sums[j];
    return sum / (step->m * step->n);
}
