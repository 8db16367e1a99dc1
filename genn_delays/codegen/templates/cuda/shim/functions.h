// CUDA's functions for kernels besides barriers and warp operations; kernels may use no others.

#define __global__ __attribute__((noinline))  // compiled once, not again in its launch
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __shared__ static SHIM_IN_SHARED
#define SHIM_DYNAMIC_SHARED(type, name) type* const name = (type*)shim.dynamic  // extern __shared__ type name[];

#define __trap() shim_trap(__LINE__)
#define assert(holds) ((holds) ? (void)0 : shim_trap(__LINE__))

static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}

template <class T>
static inline T __ldg(const T* from) {
    return *from;
}

// ---- atomics: on whole numbers only, sums of floats would depend on the order

#define SHIM_ATOMICS(T)                                                                                       \
    static inline T atomicAdd(T* at, T v) { const T was = *at; *at = (T)((uint64_t)was + (uint64_t)v); return was; } \
    static inline T atomicMin(T* at, T v) { const T was = *at; *at = v < was ? v : was; return was; }         \
    static inline T atomicMax(T* at, T v) { const T was = *at; *at = v > was ? v : was; return was; }         \
    static inline T atomicAnd(T* at, T v) { const T was = *at; *at = was & v; return was; }                   \
    static inline T atomicOr(T* at, T v) { const T was = *at; *at = was | v; return was; }                    \
    static inline T atomicXor(T* at, T v) { const T was = *at; *at = was ^ v; return was; }                   \
    static inline T atomicExch(T* at, T v) { const T was = *at; *at = v; return was; }                        \
    static inline T atomicCAS(T* at, T is, T v) { const T was = *at; *at = was == is ? v : was; return was; }
SHIM_ATOMICS(int)
SHIM_ATOMICS(unsigned)
SHIM_ATOMICS(unsigned long long)

// ---- bits and whole numbers

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)(((uint64_t)high << 32 | low) >> (shift & 31u));
}
static inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
    return reversed;
}

#define SHIM_MIN_MAX(T)                                          \
    static inline T min(T a, T b) { return b < a ? b : a; }      \
    static inline T max(T a, T b) { return a < b ? b : a; }
SHIM_MIN_MAX(int)
SHIM_MIN_MAX(unsigned)
SHIM_MIN_MAX(long)
SHIM_MIN_MAX(unsigned long)
SHIM_MIN_MAX(long long)
SHIM_MIN_MAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }

// ---- the bits of numbers

template <class To, class From>
static inline To shim_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same number of bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline int __float_as_int(float x) { return shim_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return shim_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return shim_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return shim_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return shim_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return shim_bits<double>(x); }

// ---- short vectors, for wide loads and stores

#define SHIM_VECTORS(T, base)                                                                          \
    struct alignas(2 * sizeof(T)) base##2 { T x, y; };                                                 \
    struct alignas(4 * sizeof(T)) base##4 { T x, y, z, w; };                                           \
    static inline base##2 make_##base##2(T x, T y) { const base##2 v = {x, y}; return v; }             \
    static inline base##4 make_##base##4(T x, T y, T z, T w) { const base##4 v = {x, y, z, w}; return v; }
SHIM_VECTORS(float, float)
SHIM_VECTORS(int, int)
SHIM_VECTORS(unsigned, uint)
