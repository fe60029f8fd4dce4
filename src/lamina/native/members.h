/* A whole training step of several networks side by side. A thread takes one network after the other, or some rows of
 * one where there are fewer networks than threads, through all its layers: what a layer has written is still near when
 * the next one reads it, and threads wait for each other at the end, not at every layer. */

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

/* Rows [from, from + n) of a member, and the memory for them. */
struct NAME(part) {
    const struct layer *layers;
    i64 j, from, n;
    const REAL *x;          /* of the first layer; it and what follows begin with the part's first row */
    REAL *outs;             /* what each layer makes */
    REAL *by_out, *by_x;    /* gradients by that */
    REAL *gradients, *sums; /* by parameters; by a narrow layer's, transposed */
};

/* How weights and biases move; where it is NULL, they stay. */
struct NAME(updates) {
    struct NAME(update) of_weights, of_biases;
};

static void NAME(part_forward)(const struct members_step *step, const struct NAME(part) *part)
{
    const REAL *x = part->x;
    for (i64 l = 0; l < step->depth; l++) {
        const struct layer *at = part->layers + l;
        const int16_t *bits = step->bits[l] ? step->bits[l] + (part->from * step->m + part->j) * at->fan_out : NULL;
        REAL *out = part->outs + at->out;
        if (at->is_narrow)
            NAME(narrow_forward_part)(x, at->weight, at->bias, out, at->fan_in, at->fan_out, 0, part->n);
        else
            NAME(multiply)(step->gemm, "N", "N", at->fan_out, part->n, at->fan_in, at->weight, at->weight_row, x,
                           at->fan_in, out, at->fan_out);
        if (!at->is_narrow || at->slope != 1)
            NAME(forward_part)(out, at->is_narrow ? NULL : at->bias, bits, at->fan_out, step->m * at->fan_out, 0,
                               part->n, (REAL)at->slope, (int16_t)at->threshold, (REAL)at->factor);
        x = out;
    }
}

/* The gradient by the outputs to by_out; returns the sum of the rows' losses. */
static double NAME(part_loss)(const struct members_step *step, const struct NAME(part) *part)
{
    const struct layer *last = part->layers + step->depth - 1;
    const REAL *weights = step->weights;
    const void *target = step->loss == CROSS_ENTROPY ? (const void *)((const i64 *)step->target + part->from)
                                                     : (const REAL *)step->target + part->from * last->fan_out;
    if (weights) weights += part->j * step->of_member + part->from * step->of_row;
    return NAME(loss_part)(step->loss, part->outs + last->out, target, weights, step->of_row, part->by_out,
                           last->fan_out, 0, part->n, (REAL)step->option, (REAL)(1.0 / (step->m * step->n)));
}

/* Fill by_weight (fan_in, fan_out), its rows at a distance, by_bias, and by_x where it is given; by_out is changed. */
static void NAME(layer_backward)(const struct members_step *step, const struct NAME(part) *part, const struct layer *at,
                                 const REAL *x, REAL *by_x, REAL *by_weight, i64 row, REAL *by_bias)
{
    REAL *by_out = part->by_out;
    if (!at->is_narrow || at->slope != 1)
        NAME(backward_part)(by_out, part->outs + at->out, at->is_narrow ? NULL : by_bias, at->fan_out, 0, part->n,
                            (REAL)at->factor, (REAL)(at->slope * at->factor));
    if (at->is_narrow) {
        NAME(narrow_to_weight_part)(x, by_out, part->sums, at->fan_in, at->fan_out, 0, part->n);
        NAME(narrow_sums)(part->sums, by_out, by_weight, by_bias, part->n, at->fan_in, at->fan_out);
        if (by_x) NAME(narrow_to_input_part)(by_out, at->weight, by_x, at->fan_in, at->fan_out, 0, part->n);
        return;
    }
    NAME(multiply)(step->gemm, "N", "T", at->fan_out, at->fan_in, part->n, by_out, at->fan_out, x, at->fan_in, by_weight,
                   row);
    if (by_x)
        NAME(multiply)(step->gemm, "T", "N", at->fan_in, part->n, at->fan_out, at->weight, at->weight_row, by_out,
                       at->fan_out, by_x, at->fan_in);
}

/* Rows [from, to) of the weight, by gradients (fan_in, fan_out); with the first of them the bias. */
static void NAME(update_layer)(const struct layer *at, const REAL *by_weight, const REAL *by_bias, i64 from, i64 to,
                               const struct NAME(updates) *by)
{
    REAL *weight = at->weight, *mean = at->weight_mean, *square = at->weight_square;
    int is_dense = at->weight_row == at->fan_out;
    i64 height = is_dense ? to - from : 1;
    for (i64 i = from; i < to; i += height)
        NAME(adam_part)(weight + i * at->weight_row, by_weight + i * at->fan_out, mean + i * at->weight_row,
                        square + i * at->weight_row, height * at->fan_out, &by->of_weights);
    if (from == 0) NAME(adam_part)(at->bias, by_bias, at->bias_mean, at->bias_square, at->fan_out, &by->of_biases);
}

/* Where there is one part of each member: the gradients of its layers are left in by_weight, or its parameters moved;
 * else they are left in part->gradients, layer after layer. */
static void NAME(part_backward)(const struct members_step *step, struct NAME(part) part, int is_whole,
                                const struct NAME(updates) *by)
{
    for (i64 l = step->depth - 1; l >= 0; l--) {
        const struct layer *at = part.layers + l;
        const REAL *x = l ? part.outs + at[-1].out : part.x;
        REAL *first = at->by_x ? (REAL *)at->by_x + part.from * at->fan_in : NULL, *by_x = l ? part.by_x : first;
        REAL *by_weight = part.gradients + (is_whole ? 0 : at->gradients), *by_bias = by_weight + at->fan_in * at->fan_out;
        if (is_whole && !by)
            NAME(layer_backward)(step, &part, at, x, by_x, at->by_weight, at->weight_row, at->by_bias);
        else
            NAME(layer_backward)(step, &part, at, x, by_x, by_weight, at->fan_out, by_bias);
        if (is_whole && by) NAME(update_layer)(at, by_weight, by_bias, 0, at->fan_in, by);
        part.by_x = part.by_out, part.by_out = by_x;
    }
}

/* Add up the gradients of a layer that the parts of a member have left, scratch_row numbers apart, in rows [from, to) of
 * the weight, and with the first of them those of the bias; then move the parameters, or leave the sums in by_weight. */
static void NAME(gather_layer)(const struct members_step *step, const struct layer *at, REAL *gradients, i64 parts,
                               i64 from, i64 to, const struct NAME(updates) *by)
{
    i64 start = from * at->fan_out, bias = at->fan_in * at->fan_out;
    for (i64 part = 1; part < parts; part++) {
        const REAL *other = gradients + part * step->scratch_row;
        NAME(add_part)(gradients + start, other + start, (to - from) * at->fan_out);
        if (from == 0) NAME(add_part)(gradients + bias, other + bias, at->fan_out);
    }
    if (by) {
        NAME(update_layer)(at, gradients, gradients + bias, from, to, by);
        return;
    }
    for (i64 i = from; i < to; i++)
        memcpy((REAL *)at->by_weight + i * at->weight_row, gradients + i * at->fan_out, at->fan_out * sizeof(REAL));
    if (from == 0) memcpy(at->by_bias, gradients + bias, at->fan_out * sizeof(REAL));
}

/* The i-th part of all members', in the k-th row of scratch; rows are divided into parts of a height. */
static struct NAME(part) NAME(part_at)(const struct members_step *step, i64 i, i64 k, i64 height)
{
    i64 j = i / step->parts, from = smaller(step->n, i % step->parts * height);
    const struct layer *layers = step->layers + j * step->depth;
    REAL *outs = (REAL *)step->scratch + k * step->scratch_row, *by_out = outs + step->outs;
    REAL *by_x = by_out + height * step->widest, *gradients = by_x + height * step->widest;
    return (struct NAME(part)){
        .layers = layers,
        .j = j,
        .from = from,
        .n = smaller(height, step->n - from),
        .x = (const REAL *)step->inputs[layers->input] + layers->x + from * layers->fan_in,
        .outs = outs,
        .by_out = by_out,
        .by_x = by_x,
        .gradients = gradients,
        .sums = gradients + step->gradients,
    };
}

/* out (m, n, fan_out of the last layer) <- forward. */
void NAME(lamina_members_forward)(const struct members_step *step, REAL *out)
{
    i64 height = part_of(step->n, step->parts);
#pragma omp parallel num_threads((int)smaller(step->threads, omp_get_max_threads()))
    {
        int before = set_threads(step, 1);
        for (i64 i = omp_get_thread_num(); i < step->m * step->parts; i += omp_get_num_threads()) {
            struct NAME(part) part = NAME(part_at)(step, i, omp_get_thread_num(), height);
            const struct layer *last = part.layers + step->depth - 1;
            NAME(part_forward)(step, &part);
            memcpy(out + (part.j * step->n + part.from) * last->fan_out, part.outs + last->out,
                   part.n * last->fan_out * sizeof(REAL));
        }
        set_threads(step, before);
    }
}

/* Forward, loss, backward and, where step says so, Adam; returns the mean loss over members and rows. */
double NAME(lamina_members_step)(const struct members_step *step)
{
    i64 parts = step->parts, height = part_of(step->n, parts);
    double sums[step->m * parts], sum = 0;
    struct NAME(updates) given = {0}, *by = NULL;
    if (step->adam) {
        given.of_weights = NAME(update_of)(step->adam, step->decay);
        given.of_biases = NAME(update_of)(step->adam, 0);
        by = &given;
    }
#pragma omp parallel num_threads((int)smaller(step->threads, omp_get_max_threads()))
    {
        i64 thread = omp_get_thread_num(), of_all = omp_get_num_threads();
        int before = set_threads(step, 1);
        for (i64 i = thread; i < step->m * parts; i += of_all) {
            struct NAME(part) part = NAME(part_at)(step, i, parts > 1 ? i : thread, height);
            NAME(part_forward)(step, &part);
            sums[i] = NAME(part_loss)(step, &part);
            NAME(part_backward)(step, part, parts == 1, by);
        }
        set_threads(step, before);
        if (parts > 1) {
#pragma omp barrier
            for (i64 i = 0; i < step->m * step->depth; i++) {
                const struct layer *at = step->layers + i;
                i64 first = i / step->depth * parts, rows = part_of(at->fan_in, of_all);
                i64 from = smaller(at->fan_in, thread * rows), to = smaller(at->fan_in, from + rows);
                REAL *gradients = NAME(part_at)(step, first, first, height).gradients + at->gradients;
                if (from < to) NAME(gather_layer)(step, at, gradients, parts, from, to, by);
            }
        }
    }
    for (i64 i = 0; i < step->m * parts; i++) sum += sums[i];
    return sum / (step->m * step->n);
}
