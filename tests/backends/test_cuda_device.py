"""The device layer of the cuda backend: the same on the host that stands for a GPU, and on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from genn_delays.backends.cuda.device import Device
from genn_delays.backends.cuda.real import CudaDevice, gpus
from genn_delays.backends.cuda.shim import ShimDevice
from genn_delays.backends.cuda.signature import signatures
from genn_delays.errors import BackendUnavailableError, InvalidValueError, OutOfMemoryError

SOURCE = """
typedef long long i64;
struct Pair { int a, b; };
extern "C" __global__ void scale(float* __restrict__ x, const float by, i64 n) {
    const i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n) x[k] *= by;
}
extern "C" __global__ void take(const float* x, float* y, i64 n) {
    const i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    if (k < n) y[k] = x[k];
}
extern "C" __global__ void add_one(int* x) { atomicAdd(x, 1); }
extern "C" __global__ __launch_bounds__(64) void sums(const Pair* pairs, int* out, double much, unsigned char few) {
    if (out) out[threadIdx.x] = pairs[threadIdx.x].a + pairs[threadIdx.x].b + (int)much + few;
}
extern "C" __global__ void reverse(int* x) {
    __shared__ int kept[128];
    kept[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
    const unsigned odd = __ballot_sync(0xffffffffu, threadIdx.x & 1);
    x[threadIdx.x] += __shfl_xor_sync(0xffffffffu, (int)odd, 1) == (int)0xaaaaaaaau;
}
"""

LARGE = """
typedef long long i64;
extern "C" __global__ void add_at(unsigned char* x, i64 start) { x[start + threadIdx.x] += 1; }
"""


def opened(kind: str) -> Device:
    if kind != "gpu":
        return ShimDevice(late=kind == "late shim")
    try:
        return CudaDevice()
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["shim", "late shim", pytest.param("gpu", marks=pytest.mark.cuda)])
def device(request):
    with opened(request.param) as found:
        yield found


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16, np.int64, np.bool_])
def test_a_buffer_gives_back_what_it_took(device, dtype):
    buffer = device.allocate("x", (3, 5), dtype)
    assert (buffer.nbytes, buffer.dtype, buffer.shape) == (15 * np.dtype(dtype).itemsize, dtype, (3, 5))
    assert not buffer.download().any() and buffer.download().shape == (3, 5)
    values = (np.arange(15) % 2).reshape(5, 3).astype(dtype).T
    buffer.upload(values)  # not contiguous
    assert (buffer.download() == values).all()
    buffer.clear()
    assert not buffer.download().any()


def test_parts_of_a_buffer(device):
    buffer = device.allocate("x", (2, 5), np.int32)
    buffer.upload(np.arange(1, 4, dtype=np.int32), start=3)
    assert buffer.download().tolist() == [[0, 0, 0, 1, 2], [3, 0, 0, 0, 0]]
    assert buffer.download(4).tolist() == [2, 3, 0, 0, 0, 0] and buffer.download(3, 2).tolist() == [1, 2]
    for start in (-1, 8):
        with pytest.raises(InvalidValueError, match=r"buffer 'x' is int32 \(2, 5\): cannot take int32 \(3,\) from"):
            buffer.upload(np.zeros(3, dtype=np.int32), start=start)
        with pytest.raises(InvalidValueError, match="buffer 'x' has 10 elements"):
            buffer.download(start, 3)


def test_arrays_that_are_not_the_buffer_s(device):
    buffer = device.allocate("x", (2, 5), np.float32)
    for wrong in (np.zeros((2, 5)), np.zeros((5, 2), dtype=np.float32), np.zeros(10, dtype=np.float32)):
        with pytest.raises(InvalidValueError, match="buffer 'x' is float32"):
            buffer.upload(wrong)


def test_an_empty_buffer(device):
    buffer = device.allocate("none", (0, 4), np.float32)
    buffer.upload(np.zeros((0, 4), dtype=np.float32))
    buffer.clear()
    assert buffer.download().shape == (0, 4) and buffer.nbytes == 0
    device.load(SOURCE).launch("scale", 1, 32, x=buffer, by=np.float32(2), n=0)
    device.free(buffer)


def test_memory_is_counted_and_given_back(device):
    free, total = device.memory()
    assert 0 < free <= total
    with pytest.raises(OutOfMemoryError, match=r"'everything'.*free"):
        device.allocate("everything", total, np.float32)
    buffer = device.allocate("x", 1 << 20, np.float32)
    device.free(buffer)
    for use in (buffer.download, buffer.clear, lambda: device.free(buffer), lambda: buffer.upload(np.zeros(1))):
        with pytest.raises(InvalidValueError, match="buffer 'x' was freed"):
            use()


def test_a_closed_device(device):
    buffer = device.allocate("x", 3, np.float32)
    device.close()
    device.close()
    for use in (lambda: device.allocate("y", 3, np.float32), lambda: device.load(SOURCE), device.synchronise):
        with pytest.raises(InvalidValueError, match="was closed"):
            use()
    with pytest.raises(InvalidValueError, match="was freed"):
        buffer.download()


def test_more_elements_than_a_whole_number_of_32_bits_counts(device):
    """A buffer of more than 2^31 elements: fills, copies and kernels reach its end."""
    n, free = (1 << 31) + 4096, device.memory().free
    if isinstance(device, ShimDevice):
        free = min(free, psutil.virtual_memory().available)
    if free < 2 * n:
        pytest.skip(f"needs {2 * n:,} bytes of memory, {free:,} are free")
    x = device.allocate("x", n, np.uint8)  # a GPU fills it with zeros
    x.upload(np.arange(100, dtype=np.uint8), start=n - 100)
    device.load(LARGE).launch("add_at", 1, 100, x=x, start=n - 100)
    assert x.download(n - 101, 101).tolist() == [0, *range(1, 101)]
    assert not x.download(0, 4096).any() and not x.download(n - (1 << 31) - 50, 100).any()
    device.free(x)


# --- launches --------------------------------------------------------------------------------------------------------


def test_launches_run_in_order(device):
    module, x = device.load(SOURCE), device.allocate("x", 1000, np.float32)
    x.upload(np.arange(1000, dtype=np.float32))
    for by in (2.0, 0.5, 3.0):
        module.launch("scale", 4, (256,), {"n": np.int64(999)}, by=np.float32(by), x=x)
    assert (x.download() == np.arange(1000) * np.where(np.arange(1000) < 999, 3, 1)).all()


def test_structures_null_pointers_and_small_numbers(device):
    module = device.load(SOURCE)
    pairs = device.allocate("pairs", 64, np.dtype([("a", np.int32), ("b", np.int32)]))
    values = np.zeros(64, dtype=pairs.dtype)
    values["a"], values["b"] = np.arange(64), 100
    pairs.upload(values)
    out = device.allocate("out", 64, np.int32)
    module.launch("sums", 1, 64, pairs=pairs, out=None, much=0.0, few=0)
    module.launch("sums", 1, 64, few=255, much=1e3, out=out, pairs=pairs)
    assert (out.download() == np.arange(64) + 1355).all()


def test_barriers_and_warps(device):
    module, x = device.load(SOURCE), device.allocate("x", 128, np.int32)
    x.upload(np.arange(128, dtype=np.int32))
    module.launch("reverse", 1, 128, x=x)
    assert (x.download() == np.arange(128)[::-1] + 1).all()


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        ("scales", {}, "unknown kernel 'scales'.*'scale'"),
        ("scale", {"x": "x", "by": np.float32(1)}, r"kernel 'scale' takes x, by, n; missing: n$"),
        ("scale", {}, r"kernel 'scale' takes x, by, n; missing: x, by, n$"),
        ("scale", {"x": "x", "by": np.float32(1), "n": 5, "m": 5}, r"takes x, by, n; not among them: m$"),
        ("scale", {"x": "x", "bye": np.float32(1), "n": 5}, r"missing: by; not among them: bye$"),
        ("scale", {"x": "x", "by": 1.0, "n": 5}, r"takes float by, got 1\.0"),
        ("scale", {"x": "x", "by": np.float64(1), "n": 5}, r"takes float by, got"),
        ("scale", {"x": "x", "by": np.float32(1), "n": np.int32(5)}, r"takes i64 n, got"),
        ("scale", {"x": "x", "by": np.float32(1), "n": 1 << 63}, r"takes i64 n, got 9223372036854775808"),
        ("scale", {"x": "x", "by": np.float32(1), "n": True}, "takes i64 n, got True"),
        ("scale", {"x": 7, "by": np.float32(1), "n": 5}, r"takes float\* x, got 7"),
        ("add_one", {"x": "x"}, r"takes int\* x, got float32 buffer 'x'"),
        ("sums", {"pairs": "x", "out": None, "much": 0.0, "few": 256}, "takes unsigned char few, got 256"),
    ],
)
def test_arguments_that_do_not_fit(device, kernel, arguments, message):
    module, x = device.load(SOURCE), device.allocate("x", 5, np.float32)
    with pytest.raises(InvalidValueError, match=message):
        module.launch(kernel, 1, 1, {name: x if isinstance(a, str) else a for name, a in arguments.items()})


def test_an_argument_is_given_once(device):
    """Also where both are the same: whoever gives it twice means two things."""
    module, x = device.load(SOURCE), device.allocate("x", 5, np.float32)
    with pytest.raises(InvalidValueError, match=r"kernel 'scale' takes x, by, n; given twice: n, x$"):
        module.launch("scale", 1, 1, {"x": x, "n": 5}, {"x": x}, by=np.float32(1), n=5)
    with pytest.raises(InvalidValueError, match=r"kernel 'scale' takes its arguments by name, got .* without one"):
        module.launch("scale", 1, 1, x, by=np.float32(1), n=5)
    with pytest.raises(InvalidValueError, match=r"missing: n; not among them: m; given twice: x$"):
        module.launch("scale", 1, 1, {"x": x}, x=x, by=np.float32(1), m=5)


@pytest.mark.parametrize(
    ("grid", "block", "shared", "message"),
    [
        (0, 1, 0, "grid must be from 1"),
        (1, 1025, 0, "block must be from 1"),
        ((1, 1 << 16), 1, 0, "grid must be"),
        ((1, 1, 1, 1), 1, 0, "grid must be"),
        (1, (64, 2), 0, "at most 64 threads a block"),
        (1, 1, 1 << 16, "shared must be from 0 to 49152 bytes"),
    ],
)
def test_launches_that_no_device_can_do(device, grid, block, shared, message):
    with pytest.raises(InvalidValueError, match=f"kernel 'sums': .*{message}|kernel 'sums': {message}"):
        device.load(SOURCE).launch("sums", grid, block, shared=shared, pairs=None, out=None, much=0.0, few=0)


def test_buffers_of_another_device_or_freed(device):
    module, x = device.load(SOURCE), device.allocate("x", 5, np.int32)
    device.free(x)
    with pytest.raises(InvalidValueError, match="buffer 'x' was freed"):
        module.launch("add_one", 1, 1, x=x)
    with ShimDevice() as other, pytest.raises(InvalidValueError, match="'y' belongs to another device"):
        module.launch("add_one", 1, 1, x=other.allocate("y", 5, np.int32))


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_a_graph_runs_when_it_is_launched(device):
    module, x = device.load(SOURCE), device.allocate("x", 4, np.int32)
    y = device.allocate("y", 4, np.int32)
    y.upload(np.ones(4, dtype=np.int32))
    with device.graph() as graph:
        module.launch("add_one", 1, 10, x=x)
        module.launch("add_one", 2, 5, x=x)
        y.clear()
        with pytest.raises(InvalidValueError, match="before its recording has ended"):
            graph.launch()
    assert x.download()[0] == 0 and y.download()[0] == 1
    graph.launch()
    module.launch("add_one", 1, 100, x=x)
    graph.launch()
    assert x.download()[0] == 140 and y.download()[0] == 0
    device.free(y)
    with pytest.raises(InvalidValueError, match="buffer 'y' was freed"):
        graph.launch()


def test_launches_are_counted(device):
    module, x = device.load(SOURCE), device.allocate("x", 4, np.int32)
    assert (device.calls, device.kernels) == (0, 0)
    module.launch("add_one", 1, 10, x=x)
    with device.graph() as graph:
        x.clear()
        module.launch("add_one", 1, 10, x=x)
    assert (device.calls, device.kernels) == (1, 1)
    graph.launch()
    assert (device.calls, device.kernels) == (2, 3)


def test_copies_beside_launches(device):
    """Each copy waits for its mark, and what is launched later for the copy; the host waits for neither."""
    module, n = device.load(SOURCE), 1 << 20
    slots, marks = [device.allocate(f"slot {k}", n, np.float32) for k in range(2)], [device.mark() for _ in range(2)]
    kept = [device.allocate(f"kept {k}", n, np.float32) for k in range(6)]
    values = np.empty(n, np.float32)
    for k in range(6):
        slot = slots[k % 2]
        values[:] = k + 1  # changed as soon as it was given away
        slot.upload(values, after=marks[k % 2])
        for _ in range(20):
            module.launch("scale", n // 256, 256, x=slot, by=np.float32(2.0), n=n)
        module.launch("take", n // 256, 256, x=slot, y=kept[k], n=n)
        marks[k % 2] = device.mark()
    marks[1].wait()
    for k, buffer in enumerate(kept):
        assert (buffer.download() == (k + 1) * 2.0**20).all()


def test_what_cannot_be_recorded(device):
    x = device.allocate("x", 4, np.int32)
    with device.graph() as graph:
        pass
    uses = [
        lambda: x.upload(np.zeros(4, dtype=np.int32)), x.download, lambda: device.allocate("y", 4, np.int32),
        lambda: device.free(x), lambda: device.load(SOURCE), lambda: device.graph().__enter__(), graph.launch,
        device.mark,
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(InvalidValueError, match="while a graph is recorded"), device.graph():
            use()
    assert (x.download() == 0).all()


def test_a_recording_that_fails_is_forgotten(device):
    module, x = device.load(SOURCE), device.allocate("x", 4, np.int32)
    with pytest.raises(ZeroDivisionError), device.graph():
        module.launch("add_one", 1, 10, x=x)
        1 / 0  # noqa: B018
    module.launch("add_one", 1, 1, x=x)
    assert x.download()[0] == 1


# --- what a source says of its kernels -------------------------------------------------------------------------------


def test_signatures():
    found = signatures(
        """
        // extern "C" __global__ void not_this(int a) {
        using word = unsigned int;
        typedef word again;
        __device__ int helper(int a) { return a; }
        extern "C" __global__ void none() {}
        extern "C" __global__ void
        __launch_bounds__(128, 2) some(const again *__restrict__ x, /* no */ unsigned long long many,
                                       struct Thing* thing) {
        }
        """
    )
    assert list(found) == ["none", "some"] and found["none"].parameters == ()
    assert (found["none"].most_threads, found["some"].most_threads) == (1024, 128)
    x, many, thing = found["some"].parameters
    assert (x.name, x.type, x.pointer, x.dtype) == ("x", "again*", True, np.uint32)
    assert (many.name, many.type, many.pointer, many.dtype) == ("many", "unsigned long long", False, np.uint64)
    assert (thing.name, thing.pointer, thing.dtype) == ("thing", True, None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("__global__ void k(int a) {}", "these are: none"),
        ('extern "C" __global__ void k(Thing t) {}', "kernel 'k': cannot pass parameter 'Thing t'"),
        ('extern "C" __global__ void k(float** x) {}', r"cannot pass parameter 'float\*\* x'"),
        ('extern "C" __global__ void k(float x[3]) {}', "cannot pass parameter"),
        ('extern "C" __global__ void k(int) {}', "cannot pass parameter 'int'"),
    ],
)
def test_kernels_that_cannot_be_launched(source, message):
    with pytest.raises(InvalidValueError, match=message):
        signatures(source)


# --- a GPU -----------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
def test_gpus():
    try:
        found = gpus()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    assert [gpu.index for gpu in found] == list(range(len(found)))
    assert all(gpu.arch.startswith("sm_") and gpu.memory > 1 << 30 and gpu.name for gpu in found)
    with pytest.raises(InvalidValueError, match=f"device must be from 0 to {len(found) - 1}, got {len(found)}"):
        CudaDevice(len(found))


@pytest.mark.cuda
def test_a_gpu_rounds_like_the_host():
    """No contraction: the product is rounded before the sum."""
    source = """
    extern "C" __global__ void k(float* x, const float* a, const float* b) {
        const int t = threadIdx.x;
        x[t] = a[t] * b[t] + x[t];
    }
    """
    numbers = np.random.default_rng(0).normal(size=(3, 1024)).astype(np.float32)
    found = []
    for kind in ("shim", "gpu"):
        with opened(kind) as device:
            buffers = [device.allocate(name, 1024, np.float32) for name in "xab"]
            for buffer, values in zip(buffers, numbers, strict=True):
                buffer.upload(values)
            device.load(source).launch("k", 1, 1024, dict(zip("xab", buffers, strict=True)))
            found.append(buffers[0].download())
    assert (found[0] == found[1]).all() and (found[0] == numbers[1] * numbers[2] + numbers[0]).all()
