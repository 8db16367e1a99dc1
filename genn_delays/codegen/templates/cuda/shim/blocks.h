// ---- the scheduler

static void shim_shuffle_order(void) {
    for (int k = shim.threads - 1; k > 0; --k) {
        shim.random = shim.random * 6364136223846793005u + 1442695040888963407u;
        const int other = (int)((shim.random >> 33) % (unsigned)(k + 1));
        const uint16_t kept = shim.order[k];
        shim.order[k] = shim.order[other];
        shim.order[other] = kept;
    }
}

static ShimFiber* shim_take_fiber(void) {
    if (shim.num_idle) return shim.idle[--shim.num_idle];
    ShimFiber* const fiber = &shim.fiber[shim.num_fibers];
    if (!fiber->stack) fiber->stack = (char*)malloc(SHIM_STRIDE);
    if (!fiber->stack) return 0;
    memset(fiber->stack, SHIM_PATTERN, SHIM_MARK);
    ++shim.num_fibers;
    return fiber;
}

// Deadlock: reports the first thread that waits, and one that does something else.
static void shim_stuck(void) {
    int first = 0, other = 0;
    while (shim.state[first] == SHIM_ENDED) ++first;
    for (int t = 0; t < shim.threads; ++t)
        if (t != first && (shim.state[t] != shim.state[first] || shim_line(t) != shim_line(first))) other = t;
    shim_note(shim.state[first] == SHIM_AT_BARRIER ? SHIM_BARRIER : SHIM_WARP, first, other);
}

// True if the block wrote below a stack or beyond its dynamic shared memory.
static void shim_check_memory(void) {
    static char intact[SHIM_GUARD];
    if (!intact[0]) memset(intact, SHIM_PATTERN, sizeof intact);
    for (int f = 0; f < shim.num_fibers; ++f)
        if (memcmp(shim.fiber[f].stack, intact, SHIM_MARK) != 0) shim_note(SHIM_OVERFLOW, 0, 0);
    if (shim.shared && memcmp(shim.dynamic + shim.shared, intact, SHIM_GUARD) != 0) shim_note(SHIM_SHARED, 0, 0);
}

// All threads of one block: they begin, and then go on round by round.
static void shim_block(int order) {
    memset(shim.state, SHIM_NEW, shim.threads);
    memset(shim.waiting, 0, sizeof shim.waiting);
    memcpy(shim.living, shim.all_living, sizeof shim.living);
    shim.next = shim.ended = shim.at_barrier = 0;
    shim.turn = shim.threads;
    if (order == SHIM_SHUFFLED) shim_shuffle_order();
    while (shim.next < shim.threads) {
        ShimFiber* const fiber = shim_take_fiber();
        if (!fiber) return shim_note(SHIM_MEMORY, 0, 0);
        shim_enter(fiber);
        if (shim.report->fault) return;
    }
    while (shim.ended < shim.threads) {
        if (order == SHIM_SHUFFLED) shim_shuffle_order();
        shim.turn = 0;
        ShimFiber* const fiber = shim_next();
        if (!fiber) return shim_stuck();
        shim_enter(fiber);
        if (shim.report->fault) return;
    }
}

// ---- launches

// Shared memory of a block is static memory of the library: its blocks run one after another.
#define SHIM_IN_SHARED __attribute__((section("shim_shared")))
extern "C" char __start_shim_shared[] __attribute__((visibility("hidden")));
extern "C" char __stop_shim_shared[] __attribute__((visibility("hidden")));
static char shim_any_shared[16] __attribute__((used, aligned(16))) SHIM_IN_SHARED = {0};

static uint3 shim_place(uint64_t flat, uint3 size) {
    const uint3 place = {(unsigned)(flat % size.x), (unsigned)(flat / size.x % size.y),
                         (unsigned)(flat / size.x / size.y)};
    return place;
}

// The block that runs as the k-th: a step coprime to their number visits all of them, in no obvious order.
static uint64_t shim_which_block(uint64_t k, uint64_t blocks, int order, uint64_t seed) {
    if (order == SHIM_FORWARD) return k;
    if (order == SHIM_BACKWARD) return blocks - 1 - k;
    return (k * 2654435761u + seed % blocks) % blocks;
}

static void shim_prepare(const ShimLaunch* launch) {
    blockDim = launch->block, gridDim = launch->grid;
    shim.threads = (int)(blockDim.x * blockDim.y * blockDim.z);
    shim.shared = launch->shared;
    shim.random = launch->seed;
    memset(shim.all_living, 0, sizeof shim.all_living);
    for (int t = 0; t < shim.threads; ++t) {
        shim.all_living[t / 32] |= 1u << (t & 31);
        shim.order[t] = (uint16_t)(launch->order == SHIM_BACKWARD ? shim.threads - 1 - t : t);
        shim.index[t] = shim_place((uint64_t)t, blockDim);
    }
    memset(shim.dynamic + shim.shared, SHIM_PATTERN, SHIM_GUARD);
}

static int shim_run(void (*body)(void**), void** arguments, const ShimLaunch* launch, ShimReport* report) {
    const uint64_t blocks = (uint64_t)launch->grid.x * launch->grid.y * launch->grid.z;
    shim.body = body, shim.arguments = arguments, shim.report = report;
    report->fault = SHIM_FINE;
    shim_prepare(launch);
    for (uint64_t k = 0; k < blocks && !report->fault; ++k) {
        blockIdx = shim_place(shim_which_block(k, blocks, launch->order, launch->seed), gridDim);
        memset(__start_shim_shared, 0xFF, (size_t)(__stop_shim_shared - __start_shim_shared));
        memset(shim.dynamic, 0xFF, shim.shared);
        shim_block(launch->order);
        if (!report->fault) shim_check_memory();
    }
    if (report->fault) {  // threads that were left in the middle are forgotten with their fibers
        for (int f = 0; f < shim.num_fibers; ++f) shim.fiber[f].begun = 0;
        shim.num_fibers = shim.num_idle = 0;
    }
    return report->fault;
}

// The first of the memory blocks whose guards, before and behind it, are no longer as they were; else -1.
SHIM_EXPORT int64_t shim_broken_guard(int64_t count, char** memory, const int64_t* bytes, const char* guard) {
    for (int64_t k = 0; k < count; ++k)
        if (memcmp(memory[k] - SHIM_GUARD, guard, SHIM_GUARD) != 0 ||
            memcmp(memory[k] + bytes[k], guard, SHIM_GUARD) != 0)
            return k;
    return -1;
}
