"""CUDA kernels on the host: what they compute, and that what no kernel may do is told, not missed and not a hang."""

from __future__ import annotations

import numpy as np
import pytest

from genn_delays.backends.cuda.device import KernelError
from genn_delays.backends.cuda.shim import ORDERS, ShimDevice
from genn_delays.errors import CompileError, InvalidValueError, OutOfMemoryError

HEAD = """
typedef long long i64;
typedef unsigned u32;
#define ALL 0xffffffffu
"""


@pytest.fixture(params=ORDERS)
def device(request):
    with ShimDevice(request.param, seed=3) as opened:
        yield opened


def run(device: ShimDevice, body: str, out, block, grid=1, before: str = "", shared: int = 0) -> np.ndarray:
    """Launch a kernel ``k(out, n)`` of the given body, and return what it wrote into an array like `out`."""
    kind = {"f": "float", "i": "int", "u": "u32"}[out.dtype.kind]
    source = f'{HEAD}{before}\nextern "C" __global__ void k({kind}* __restrict__ out, int n) {{\n{body}\n}}\n'
    module = device.load(source)
    buffer = device.allocate("out", out.shape, out.dtype)
    buffer.upload(out)
    module.launch("k", grid, block, shared=shared, out=buffer, n=out.size)
    return buffer.download()


def ints(n: int) -> np.ndarray:
    return np.zeros(n, dtype=np.int32)


# --- what kernels compute --------------------------------------------------------------------------------------------


def test_a_vector_with_a_tail(device):
    body = "const int k = blockIdx.x * blockDim.x + threadIdx.x;\nif (k < n) out[k] += 2.0f * k;"
    found = run(device, body, np.ones(1000, dtype=np.float32), 256, 4)
    assert (found == 1 + 2 * np.arange(1000)).all()


def test_a_grid_stride_loop(device):
    body = "for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < n; k += gridDim.x * blockDim.x) out[k] = k;"
    assert (run(device, body, ints(5000), 64, 7) == np.arange(5000)).all()


def test_three_dimensions(device):
    body = """
    const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    out[b * 24 + t] = b * 1000 + t;"""
    found = run(device, body, ints(24 * 30), (2, 3, 4), (5, 2, 3)).reshape(30, 24)
    assert (found == 1000 * np.arange(30)[:, None] + np.arange(24)).all()


def test_a_reduction_over_a_block(device):
    body = """
    __shared__ float part[256];
    part[threadIdx.x] = out[threadIdx.x];
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    out[threadIdx.x] = part[0];"""
    values = np.random.default_rng(0).normal(size=256).astype(np.float32)
    expected = values.copy()
    for half in (128, 64, 32, 16, 8, 4, 2, 1):
        expected[:half] += expected[half : 2 * half]
    assert (run(device, body, values, 256) == expected[0]).all()


def test_votes_of_a_warp(device):
    body = """
    const u32 odd = __ballot_sync(ALL, threadIdx.x & 1);
    const int any = __any_sync(ALL, threadIdx.x == 40), all = __all_sync(ALL, threadIdx.x < 64);
    __syncwarp();
    out[threadIdx.x] = (odd == 0xaaaaaaaau) + 2 * any + 4 * all;"""
    assert run(device, body, ints(96), 96).tolist() == [5] * 32 + [7] * 32 + [1] * 32


@pytest.mark.parametrize(
    ("call", "source"),
    [
        ("__shfl_sync(ALL, x, 5)", lambda lane: 5),
        ("__shfl_sync(ALL, x, threadIdx.x + 1)", lambda lane: (lane + 1) % 32),
        ("__shfl_sync(ALL, x, 9, 8)", lambda lane: lane // 8 * 8 + 1),
        ("__shfl_up_sync(ALL, x, 3)", lambda lane: lane - 3 if lane >= 3 else lane),
        ("__shfl_down_sync(ALL, x, 3)", lambda lane: lane + 3 if lane + 3 < 32 else lane),
        ("__shfl_down_sync(ALL, x, 3, 8)", lambda lane: lane + 3 if lane % 8 + 3 < 8 else lane),
        ("__shfl_xor_sync(ALL, x, 16)", lambda lane: lane ^ 16),
        ("__shfl_xor_sync(ALL, x, 8, 8)", lambda lane: lane - 8 if lane & 8 else lane),
    ],
)
@pytest.mark.parametrize("kind", ["int", "float", "double", "i64"])
def test_shuffles(device, call, source, kind):
    body = f"const {kind} x = threadIdx.x;\nout[threadIdx.x] = (int){call};"
    assert run(device, body, ints(64), 64).tolist() == [32 * w + source(lane) for w in range(2) for lane in range(32)]


def test_halves_of_a_warp_go_their_own_ways(device):
    body = """
    if (threadIdx.x < 16) {
        for (int round = 0; round < 3; ++round) out[threadIdx.x] += __shfl_xor_sync(0x0000ffffu, (int)threadIdx.x, 1);
    } else {
        out[threadIdx.x] = __popc(__ballot_sync(0xffff0000u, threadIdx.x % 3 == 0));
    }"""
    assert run(device, body, ints(32), 32).tolist() == [3 * (k ^ 1) for k in range(16)] + [5] * 16


def test_a_vote_goes_on_without_threads_that_have_ended(device):
    body = "if (threadIdx.x % 2) return;\nout[threadIdx.x] = __popc(__ballot_sync(ALL, 1)) + 100 * __all_sync(ALL, 1);"
    assert run(device, body, ints(40), 40).tolist() == [116, 0] * 16 + [104, 0] * 4


def test_barriers_that_count(device):
    body = """
    const int count = __syncthreads_count(threadIdx.x < 3), all = __syncthreads_and(threadIdx.x < 100);
    out[threadIdx.x] = count + 10 * all + 100 * __syncthreads_or(threadIdx.x == 99) + 1000 * __syncthreads_or(0);"""
    assert (run(device, body, ints(100), 100) == 113).all()


def test_what_a_thread_holds_survives_its_waits(device):
    """Registers are a thread's own, whatever the compiler knows of the function that waits."""
    body = """
    const int me = threadIdx.x;
    int a = me, b = 2 * me, c = 3 * me, d = 5 * me, e = 7 * me, f = 11 * me, g = 13 * me, h = 17 * me;
    double p = me, q = 2.0 * me, r = 3.0 * me, s = 4.0 * me, t = 5.0 * me;
    for (int round = 0; round < 3; ++round) {
        a += __shfl_xor_sync(ALL, b, 1) * 0, p += q;
        if (round % 2) __syncthreads();
        else __syncwarp();
        b += c - d, c += e, d += f - g, e += h, q += r - s, r += t, s -= p;
    }
    out[me] = a + b + c + d + e + f + g + h + (int)(p + q + r + s + t);"""
    found = run(device, body, ints(64), 64)
    assert found[1] != 0 and (found == found[1] * np.arange(64)).all()


def test_atomics_on_whole_numbers(device):
    body = """
    __shared__ int total;
    __shared__ unsigned long long many;
    if (threadIdx.x == 0) total = 0, many = 1ull << 40;
    __syncthreads();
    atomicAdd(&total, (int)threadIdx.x);
    atomicAdd(&many, 1ull);
    atomicMax(&out[1], (int)threadIdx.x);
    atomicMin(&out[2], -(int)threadIdx.x);
    atomicOr(&out[3], 1 << threadIdx.x % 20);
    atomicCAS(&out[4], 0, 7);
    __syncthreads();
    if (threadIdx.x == 0) out[0] = total, out[5] = (int)(many - (1ull << 40));"""
    assert run(device, body, ints(6), 100).tolist() == [4950, 99, -99, (1 << 20) - 1, 7, 100]


def test_bits():
    body = """
    out[0] = __popc(0xf0f0u) + __popcll(~0ull), out[1] = __clz(1) + __clz(0), out[2] = __clzll(1);
    out[3] = __ffs(8) + __ffs(0), out[4] = (int)__brev(1u) >> 31, out[5] = (int)__umulhi(0x80000000u, 6u);
    out[6] = (int)__umul64hi(1ull << 63, 10ull), out[7] = __float_as_int(1.0f);
    out[8] = (int)__int_as_float(0x40400000);
    out[9] = min(3, 2) + max(3, 2), out[10] = (int)fminf(2.5f, max(1.5f, 0.0f) * 2.0f), out[11] = __ldg(&out[9]);
    const float4 v = make_float4(1, 2, 3, 4);
    out[12] = (int)(v.x + v.w), out[13] = warpSize;"""
    expected = [8 + 64, 31 + 32, 63, 4, -1, 3, 5, 0x3F800000, 3, 5, 2, 5, 5, 32]
    with ShimDevice() as device:
        assert run(device, body, ints(14), 1).tolist() == expected


def test_dynamic_shared_memory(device):
    body = """
    extern __shared__ int kept[];
    kept[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = kept[n - 1 - threadIdx.x];"""
    assert run(device, body, ints(50), 50, shared=200).tolist() == list(range(50))[::-1]
    with pytest.raises(KernelError, match="behind the dynamic shared memory"):
        run(device, body, ints(50), 50, shared=196)


def test_products_are_rounded_before_they_are_added(device):
    a = np.array([1 + 2**-12, 1 + 2**-23, 3.1], dtype=np.float32)
    found = run(device, "const float x = out[threadIdx.x];\nout[threadIdx.x] = x * x - 1.0f;", a, 3)
    assert (found == (a * a).astype(np.float32) - np.float32(1)).all()


# --- races -----------------------------------------------------------------------------------------------------------

NEIGHBOUR = """
    __shared__ int kept[64];
    kept[threadIdx.x] = threadIdx.x;
    {barrier}
    out[threadIdx.x] = kept[(threadIdx.x + 1) % 64];"""


@pytest.mark.parametrize("barrier", ["__syncthreads();", ""])
def test_a_missing_barrier_shows_between_orders(barrier):
    found = []
    for order in ORDERS:
        with ShimDevice(order) as device:
            found.append(run(device, NEIGHBOUR.format(barrier=barrier), ints(64), 64))
    assert all((found[0] == other).all() for other in found[1:]) == bool(barrier)


def test_a_race_between_blocks_shows():
    found = []
    for order in ORDERS:
        with ShimDevice(order) as device:
            found.append(int(run(device, "out[0] = blockIdx.x;", ints(1), 1, 5)[0]))
    assert found[0] == 4 and found[1] == 0


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("grid", [1, 2, 7, (5, 3, 2)])
def test_every_block_runs_once(seed, grid):
    with ShimDevice("shuffled", seed) as device:
        body = "atomicAdd(&out[blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z)], 1);"
        assert (run(device, body, ints(int(np.prod(grid))), 3, grid) == 3).all()


def test_a_seed_chooses_the_order():
    body = "out[atomicAdd(&out[64], 1)] = threadIdx.x;"
    found = []
    for seed in (1, 1, 2):
        with ShimDevice("shuffled", seed) as device:
            found.append(run(device, body, ints(65), 64)[:64].tolist())
    assert found[0] == found[1] != found[2]
    assert sorted(found[0]) == sorted(found[2]) == list(range(64))


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 16) __syncthreads();", r"(has ended|line 7) while .* (has ended|line 7)"),
        ("if (threadIdx.x == 3) return;\n__syncthreads();\n__syncthreads();", "all threads of a block.*same barrier"),
        ("if (threadIdx.x < 9) __syncthreads();\nelse __syncthreads();", r"line [78] while .* line [78]"),
        ("if (threadIdx.x < 9) __ballot_sync(ALL, 1);\nelse __syncthreads();", "all threads of a mask"),
        ("if (threadIdx.x < 9) __ballot_sync(ALL, 1);\nelse __syncwarp();", "all threads of a mask"),
        ("__ballot_sync(threadIdx.x < 9 ? ALL : ~1u, 1);", "with the same mask"),
        ("__ballot_sync(0xffu, 1);", r"thread \d+ is not in the mask .* line 7"),
        ("if (threadIdx.x == 8) return;\nout[0] = __shfl_down_sync(ALL, 1, 1);", "thread 7 reads a lane that takes no"),
        ("if (threadIdx.x == 5) __trap();", r"thread 5 trapped in line 7"),
        ("assert(threadIdx.x != 5);", r"thread 5 trapped in line 7"),
    ],
)
def test_faults_of_a_block(device, body, message):
    with pytest.raises(KernelError, match=rf"(?s)kernel 'k', block \(0, 0, 0\).*{message}"):
        run(device, body, ints(32), 32)
    assert (run(device, NEIGHBOUR.format(barrier="__syncthreads();"), ints(64), 64, 3) == np.roll(range(64), -1)).all()


def test_a_fault_in_one_kernel_leaves_the_next_alone(device):
    source = """
    extern "C" __global__ void bad(int* out) { if (threadIdx.x) __syncthreads(); }
    extern "C" __global__ void good(int* out) { out[threadIdx.x] = __syncthreads_count(1); }
    """
    module, out = device.load(source), device.allocate("out", 40, np.int32)
    for _ in range(3):
        with pytest.raises(KernelError):
            module.launch("bad", 2, 40, out=out)
        module.launch("good", 2, 40, out=out)
        assert (out.download() == 40).all()


@pytest.mark.parametrize("index", [100, 107, -1, -9])
def test_a_write_outside_a_buffer(device, index):
    other = device.allocate("other", 10, np.float32)
    with pytest.raises(KernelError, match=rf"kernel 'k' wrote outside buffer 'out', int32 \(100,\), .* {index}$"):
        run(device, f"out[{index}] = 1;", ints(100), 1)
    run(device, "out[0] = 1;", ints(100), 1)  # told once
    assert (other.download() == 0).all()


def test_a_read_outside_a_buffer_finds_no_number(device):
    found = run(device, "const float x = out[n];\nout[0] = x;\nout[1] = out[-2];", np.zeros(3, dtype=np.float32), 1)
    assert np.isnan(found[:2]).all() and found[2] == 0


def test_shared_memory_begins_without_numbers(device):
    body = "__shared__ float kept[32];\nout[blockIdx.x] = kept[5];\nkept[5] = 1.0f;"
    assert np.isnan(run(device, body, np.zeros(3, dtype=np.float32), 1, 3)).all()


@pytest.mark.parametrize(
    "body", ["atomicAdd(out, 1.0f);", "out[0] = __expf(1.0f);", "out[threadIdx.x] = undefined_thing;"]
)
def test_what_no_kernel_may_use(body):
    """Sums of floats by atomics depend on the order, fast functions on the device."""
    with ShimDevice() as device, pytest.raises(CompileError, match=r"atomicAdd|__expf|undefined_thing"):
        run(device, body, np.zeros(3, dtype=np.float32), 1)


def test_compiled_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GENN_DELAYS_CACHE", str(tmp_path))
    source = 'extern "C" __global__ void nothing() {}\n'
    with ShimDevice() as device:
        assert [device.load(source).compiled for _ in range(2)] == [True, False]
        device.load(source).launch("nothing", 1, 1)


def test_more_memory_than_there_is():
    with ShimDevice(memory=1000) as device:
        device.allocate("small", 100, np.float32)
        with pytest.raises(OutOfMemoryError, match=r"'large' needs 1,200 bytes, 600 are free"):
            device.allocate("large", (3, 100), np.float32)
        assert device.memory() == (600, 1000)


def test_orders_that_there_are_not():
    with pytest.raises(InvalidValueError, match="unknown order 'backwards'"):
        ShimDevice("backwards")
    with pytest.raises(InvalidValueError, match="seed must be"):
        ShimDevice("shuffled", -1)
