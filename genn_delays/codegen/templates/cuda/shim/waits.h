// ---- barriers

// Returns the number of threads of the block whose `vote` is not 0.
SHIM_OPAQUE static int shim_barrier(int line, int vote) {
    const int me = shim.current;
    shim.state[me] = SHIM_AT_BARRIER;
    shim.thread[me].line = line;
    for (int other = 0; shim.ended && other < shim.threads; ++other)
        if (shim.state[other] == SHIM_ENDED) shim_fail(SHIM_BARRIER, other);
    if (shim.at_barrier == 0) shim.barrier_line = line, shim.barrier_votes = 0;
    for (int other = 0; line != shim.barrier_line && other < shim.threads; ++other)
        if (other != me && shim.state[other] == SHIM_AT_BARRIER) shim_fail(SHIM_BARRIER, other);
    shim.barrier_votes += vote != 0;
    if (++shim.at_barrier == shim.threads) {
        memset(shim.state, SHIM_READY, shim.threads);
        shim.at_barrier = 0;
        shim.barrier_result = shim.barrier_votes;
    }
    shim_yield(shim.thread[me].fiber);
    return shim.barrier_result;
}

#define __syncthreads() ((void)shim_barrier(__LINE__, 0))
#define __syncthreads_count(vote) shim_barrier(__LINE__, (vote) != 0)
#define __syncthreads_or(vote) (shim_barrier(__LINE__, (vote) != 0) != 0)
#define __syncthreads_and(vote) (shim_barrier(__LINE__, (vote) != 0) == shim.threads)

// ---- warp operations

// Completes the warp operation that t waits at, if all living threads of its mask have come to it.
static void shim_try_warp(int t) {
    const int warp = t / 32, first = 32 * warp;
    const ShimThread* const asked = &shim.thread[t];
    const unsigned lanes = asked->mask & shim.living[warp];
    if (lanes & ~shim.waiting[warp]) return;
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane) {
        const ShimThread* const found = &shim.thread[first + lane];
        if (!(lanes >> lane & 1)) continue;
        if (found->line != asked->line || found->kind != asked->kind || found->mask != asked->mask) return;
        votes |= (unsigned)(found->value != 0) << lane;
    }
    for (int lane = 0; lane < 32; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        ShimThread* const found = &shim.thread[first + lane];
        if (found->kind == SHIM_SHUFFLE && !(lanes >> found->source & 1)) {
            shim.current = first + lane;
            shim_fail(SHIM_SOURCE, first + lane);
        }
        found->result = found->kind == SHIM_SHUFFLE ? shim.thread[first + found->source].value
                                                    : (uint64_t)lanes << 32 | votes;
        shim.state[first + lane] = SHIM_READY;
    }
    shim.waiting[warp] &= ~lanes;
}

SHIM_OPAQUE static uint64_t shim_warp(int line, int kind, unsigned mask, uint64_t value, int source) {
    const int me = shim.current;
    ShimThread* const mine = &shim.thread[me];
    mine->line = line, mine->kind = kind, mine->mask = mask, mine->value = value, mine->source = source;
    shim.state[me] = SHIM_AT_WARP;
    shim.waiting[me / 32] |= 1u << (me & 31);
    if (!(mask >> (me & 31) & 1)) shim_fail(SHIM_OUTSIDE, me);
    shim_try_warp(me);
    shim_yield(mine->fiber);
    return mine->result;
}

template <class T>
static inline T shim_shuffle(int line, unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 64 bits");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = shim_warp(line, SHIM_SHUFFLE, mask, bits, source);
    memcpy(&value, &bits, sizeof(T));
    return value;
}

template <class T>
static inline T shim_shuffle_to(int line, unsigned mask, T value, int source, int width = 32) {
    return shim_shuffle(line, mask, value, (shim.current & 31 & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
static inline T shim_shuffle_up(int line, unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = shim.current & 31, within = lane & (width - 1);
    return shim_shuffle(line, mask, value, (unsigned)within < delta ? lane : lane - (int)delta);
}
template <class T>
static inline T shim_shuffle_down(int line, unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = shim.current & 31, within = lane & (width - 1);
    return shim_shuffle(line, mask, value, within + delta >= (unsigned)width ? lane : lane + (int)delta);
}
template <class T>
static inline T shim_shuffle_xor(int line, unsigned mask, T value, int bits, int width = 32) {
    const int lane = shim.current & 31, source = lane ^ bits;
    return shim_shuffle(line, mask, value, source > (lane | (width - 1)) ? lane : source);
}
struct ShimSyncWarp {  // called with a mask or without one
    int line;
    void operator()(unsigned mask = 0xFFFFFFFFu) const { shim_warp(line, SHIM_SYNC, mask, 0, 0); }
};
static inline int shim_all(uint64_t found) { return (uint32_t)found == found >> 32; }

#define __shfl_sync(...) shim_shuffle_to(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) shim_shuffle_up(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) shim_shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) shim_shuffle_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(mask, vote) ((unsigned)shim_warp(__LINE__, SHIM_VOTE, mask, (vote) != 0, 0))
#define __any_sync(mask, vote) ((int)(__ballot_sync(mask, vote) != 0))
#define __all_sync(mask, vote) shim_all(shim_warp(__LINE__, SHIM_VOTE, mask, (vote) != 0, 0))
#define __syncwarp(...) ShimSyncWarp{__LINE__}(__VA_ARGS__)
