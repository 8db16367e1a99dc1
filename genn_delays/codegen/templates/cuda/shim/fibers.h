// CUDA C++ on the host, for tests without a GPU. CUDA's own functions are defined here; kernels are compiled unchanged.
//
// Blocks run one after another. Every thread of a block is a fiber: it runs until it waits at a barrier or a warp
// operation, or ends, and a thread that never waits needs no fiber of its own. Threads begin, and go on after a
// barrier, in an order that the caller chooses: a kernel whose result depends on it has a race. Shared memory holds
// all ones (NaN, -1) when a block begins. A barrier that not all threads of the block reach, a warp operation that not
// all living threads of its mask reach, and a shuffle that reads a lane which takes no part are faults, not hangs.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define SHIM_EXPORT extern "C" __attribute__((visibility("default")))
#define SHIM_MOST_THREADS 1024
#define SHIM_MOST_WARPS 32
#define SHIM_MOST_SHARED 49152
#define SHIM_GUARD 4096
#define SHIM_PATTERN 0xC7
#define SHIM_MARK 64
#define SHIM_STACK 65536
#define SHIM_STRIDE (SHIM_STACK + 1088)  // stacks begin at different places of the processor's first cache

enum ShimState { SHIM_NEW, SHIM_READY, SHIM_AT_BARRIER, SHIM_AT_WARP, SHIM_ENDED };
enum ShimFault {
    SHIM_FINE, SHIM_BARRIER, SHIM_WARP, SHIM_OUTSIDE, SHIM_SOURCE, SHIM_TRAP, SHIM_OVERFLOW, SHIM_SHARED, SHIM_MEMORY
};
enum ShimOrder { SHIM_FORWARD, SHIM_BACKWARD, SHIM_SHUFFLED };
enum ShimKind { SHIM_SYNC, SHIM_VOTE, SHIM_SHUFFLE };

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

// The request of the caller, and the fault: the thread that noticed, and another that does something else.
struct ShimLaunch {
    uint3 grid, block;
    uint32_t shared;  // bytes of dynamic shared memory
    int32_t order;
    uint64_t seed;
};
struct ShimReport {
    uint3 block;
    int32_t fault, thread, state, line, other, other_state, other_line;
};

struct ShimFiber {
    jmp_buf at;  // where it goes on
    int begun;
    char* stack;
};
struct ShimThread {
    ShimFiber* fiber;
    int line, kind, source;  // of the barrier or warp operation it waits at; the lane that a shuffle reads
    unsigned mask;
    uint64_t value, result;  // given to a warp operation, and got from it
};

static uint3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

static struct {
    void (*body)(void**);
    void** arguments;
    ShimReport* report;
    int threads, next, turn;  // of the block: all, and which of `order` is to begin, and to go on in this round
    int ended, at_barrier;    // how many there are of each
    int current;
    int barrier_line, barrier_votes, barrier_result;
    int num_idle, num_fibers;
    unsigned shared;
    uint64_t random;
    jmp_buf home;  // the scheduler
    ShimFiber* running;
    uint16_t order[SHIM_MOST_THREADS];
    unsigned char state[SHIM_MOST_THREADS];
    unsigned living[SHIM_MOST_WARPS], waiting[SHIM_MOST_WARPS];  // of a warp: lanes not ended, and at a warp operation
    unsigned all_living[SHIM_MOST_WARPS];                        // when a block begins
    uint3 index[SHIM_MOST_THREADS];
    ShimThread thread[SHIM_MOST_THREADS];
    ShimFiber fiber[SHIM_MOST_THREADS];
    ShimFiber* idle[SHIM_MOST_THREADS];
    __attribute__((aligned(256))) char dynamic[SHIM_MOST_SHARED + SHIM_GUARD];
} shim;

// ---- faults

static int shim_line(int t) {
    return shim.state[t] == SHIM_AT_BARRIER || shim.state[t] == SHIM_AT_WARP ? shim.thread[t].line : 0;
}

static void shim_note(int fault, int t, int other) {
    ShimReport* r = shim.report;
    r->fault = fault;
    r->block = blockIdx;
    r->thread = t, r->state = shim.state[t], r->line = shim_line(t);
    r->other = other, r->other_state = shim.state[other], r->other_line = shim_line(other);
}

// A caller of a function that leaves a fiber must not keep values in registers that other fibers use. So the compiler must
// not find out that the function itself uses none of them (GCC's -fipa-ra).
#ifdef __clang__
#define SHIM_OPAQUE __attribute__((noinline))
#else
#define SHIM_OPAQUE __attribute__((noipa))
#endif

// Ends the launch from within a thread; fibers are abandoned, and created again next time.
__attribute__((noreturn)) static void shim_fail(int fault, int other) {
    shim_note(fault, shim.current, other);
    _longjmp(shim.home, 1);
}

__attribute__((noreturn, noinline)) static void shim_trap(int line) {
    shim_note(SHIM_TRAP, shim.current, shim.current);
    shim.report->line = line;
    _longjmp(shim.home, 1);
}

// ---- fibers

// The next thread in this round's order that can go on, made the current one; none at the end of the round.
static ShimFiber* shim_next(void) {
    while (shim.turn < shim.threads) {
        const int t = shim.order[shim.turn++];
        if (shim.state[t] != SHIM_READY) continue;
        shim.current = t;
        threadIdx = shim.index[t];
        return shim.thread[t].fiber;
    }
    return 0;
}

// Leaves a fiber for the next one, or for the scheduler. This function and shim_enter keep no variables of their own
// over the jump, and may not be inlined.
SHIM_OPAQUE static void shim_yield(ShimFiber* fiber) {
    if (_setjmp(fiber->at) != 0) return;
    ShimFiber* const next = shim_next();
    if (next) _longjmp(next->at, 1);
    _longjmp(shim.home, 1);
}

static void shim_fiber_main(void);

SHIM_OPAQUE static void shim_enter(ShimFiber* fiber) {
    static ucontext_t start;
    shim.running = fiber;
    if (_setjmp(shim.home) != 0) return;
    if (fiber->begun) _longjmp(fiber->at, 1);
    fiber->begun = 1;
    getcontext(&start);
    start.uc_stack.ss_sp = fiber->stack;
    start.uc_stack.ss_size = SHIM_STACK;
    start.uc_link = 0;
    makecontext(&start, shim_fiber_main, 0);
    setcontext(&start);
}

static void shim_try_warp(int t);

// Thread t has ended: a barrier that waits for it is a deadlock, a warp operation no longer waits for it.
static void shim_end(int t) {
    shim.state[t] = SHIM_ENDED;
    ++shim.ended;
    for (int other = 0; shim.at_barrier && other < shim.threads; ++other)
        if (shim.state[other] == SHIM_AT_BARRIER) shim_fail(SHIM_BARRIER, other);
    const int warp = t / 32;
    shim.living[warp] &= ~(1u << (t & 31));
    for (int lane = 0; shim.waiting[warp] && lane < 32; ++lane)
        if (shim.waiting[warp] >> lane & 1) shim_try_warp(32 * warp + lane);
}

// Runs threads that have not begun, one after another, until one has to wait.
static void shim_fiber_main(void) {
    ShimFiber* const fiber = shim.running;
    for (;;) {
        while (shim.next < shim.threads) {
            const int t = shim.order[shim.next++];
            shim.current = t;
            shim.state[t] = SHIM_READY;
            shim.thread[t].fiber = fiber;
            threadIdx = shim.index[t];
            shim.body(shim.arguments);
            shim_end(t);
        }
        shim.idle[shim.num_idle++] = fiber;
        shim_yield(fiber);
    }
}
