// libcuda.so.1 as far as cuda-core and this library use it, on the machine of machine.h. What is asked of it beyond that
// ends the process with the name of the function.
#include <dlfcn.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "machine.h"

#define API extern "C" __attribute__((visibility("default"))) int
#define LOCKED std::lock_guard<std::recursive_mutex> locked(machine().lock)

static Machine& machine() {
    static Machine* const one = new Machine;  // never destroyed: Python's last objects still ask for it
    return *one;
}

using Address = unsigned long long;

static int context;  // its address is the handle
static thread_local void* current = nullptr;
static bool initialised = false;

// ---- the driver, the device, the context

static const std::map<int, std::pair<const char*, const char*>> ERRORS = {
    {SUCCESS, {"CUDA_SUCCESS", "no error"}},
    {INVALID_VALUE, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {OUT_OF_MEMORY, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {NOT_INITIALIZED, {"CUDA_ERROR_NOT_INITIALIZED", "initialization error"}},
    {INVALID_DEVICE, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
    {INVALID_IMAGE, {"CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"}},
    {INVALID_CONTEXT, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {INVALID_HANDLE, {"CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"}},
    {NOT_FOUND, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {NOT_READY, {"CUDA_ERROR_NOT_READY", "device not ready"}},
    {ILLEGAL_ADDRESS, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
    {LAUNCH_FAILED, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
    {CAPTURE_UNSUPPORTED, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
    {CAPTURE_INVALIDATED, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error"}},
    {CAPTURE_UNMATCHED, {"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"}},
    {CAPTURE_ISOLATION, {"CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work"}},
};

static int cuGetErrorName(int error, const char** text) {
    *text = ERRORS.count(error) ? ERRORS.at(error).first : nullptr;
    return *text ? SUCCESS : INVALID_VALUE;
}
static int cuGetErrorString(int error, const char** text) {
    *text = ERRORS.count(error) ? ERRORS.at(error).second : nullptr;
    return *text ? SUCCESS : INVALID_VALUE;
}
static int cuDriverGetVersion(int* version) { return *version = 13000, SUCCESS; }
static int cuInit(unsigned) { return initialised = true, SUCCESS; }
static int number_of_gpus() {
    const char* told = getenv("GENN_DELAYS_STAND_IN_GPUS");
    return told ? atoi(told) : 1;
}
static int cuDeviceGetCount(int* count) { return *count = number_of_gpus(), initialised ? SUCCESS : NOT_INITIALIZED; }
static int cuDeviceGet(int* device, int ordinal) {
    if (!initialised) return NOT_INITIALIZED;
    return *device = ordinal, ordinal >= 0 && ordinal < number_of_gpus() ? SUCCESS : INVALID_DEVICE;
}
static int cuDeviceGetUuid(char* uuid, int device) {
    memset(uuid, 0, 16);
    return uuid[15] = (char)device, SUCCESS;
}
static int cuDeviceGetName(char* name, int length, int) { return snprintf(name, length, "stand-in"), SUCCESS; }
static int cuDeviceTotalMem(size_t* bytes, int) { return *bytes = machine().total, SUCCESS; }
static int cuDeviceGetAttribute(int* value, int attribute, int) {
    static const std::map<int, int> values = {
        {75, 9}, {76, 0}, {10, 32}, {1, 1024}, {16, 132}, {115, 1} /* memory pools */, {41, 1} /* unified addressing */,
    };
    if (!values.count(attribute)) die("cuDeviceGetAttribute of " + std::to_string(attribute));
    return *value = values.at(attribute), SUCCESS;
}
static int cuDevicePrimaryCtxRetain(void** out, int) { return *out = &context, SUCCESS; }
static int cuDevicePrimaryCtxRelease(int) { return SUCCESS; }
static int cuCtxSetCurrent(void* given) { return current = given, SUCCESS; }
static int cuCtxGetCurrent(void** out) { return *out = current, SUCCESS; }
static int cuCtxGetDevice(int* device) { return *device = 0, current ? SUCCESS : INVALID_CONTEXT; }
static int cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = *greatest = 0, SUCCESS; }
static int cuCtxSynchronize() {
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    machine().finish_all();
    return machine().broken;
}

// ---- streams and events

// The default stream has no object but a number; it waits for no other stream here, as all others are made not to.
static Stream* const DEFAULT_STREAM = reinterpret_cast<Stream*>(1);
static Stream* default_stream() {
    static Stream* const one = new Stream;
    auto& streams = machine().streams;
    if (std::find(streams.begin(), streams.end(), one) == streams.end()) streams.push_back(one);
    return one;
}

static Stream* known(Stream* s, const char* function) {
    if (s == DEFAULT_STREAM) return default_stream();
    for (Stream* each : machine().streams)
        if (each == s && !s->destroyed) return s;
    die(std::string(function) + " of a stream that is not there");
}
#define KNOWN(s) (s = known(s, __func__))

static int cuStreamCreateWithPriority(Stream** out, unsigned flags, int) {
    LOCKED;
    if (!current) return INVALID_CONTEXT;
    if (flags != 1) die("a stream that the default stream waits for");
    machine().streams.push_back(*out = new Stream);
    return SUCCESS;
}
static int cuStreamDestroy(Stream* s) {
    LOCKED;
    if (s == DEFAULT_STREAM) die("the default stream is destroyed");
    if (KNOWN(s)->recording) die("a stream that records is destroyed");
    return s->destroyed = true, SUCCESS;  // what waits is still done
}
static int cuStreamGetCtx(Stream* s, void** out) { return KNOWN(s), *out = &context, SUCCESS; }
static int cuStreamGetDevice(Stream* s, int* out) { return KNOWN(s), *out = 0, SUCCESS; }
static int cuStreamGetFlags(Stream* s, unsigned* out) { return KNOWN(s), *out = 1, SUCCESS; }
static int cuStreamGetPriority(Stream* s, int* out) { return KNOWN(s), *out = 0, SUCCESS; }
static int cuStreamSynchronize(Stream* s) {
    LOCKED;
    KNOWN(s);
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    machine().finish(s);
    return machine().broken;
}
static int cuEventCreate(Event** out, unsigned) {
    if (!current) return INVALID_CONTEXT;
    return *out = new Event, SUCCESS;
}
static int cuEventDestroy(Event* e) { return delete e, SUCCESS; }
static int cuEventRecord(Event* e, Stream* s) {
    LOCKED;
    if (KNOWN(s)->recording) die("an event is recorded in a graph");
    auto moment = std::make_shared<Moment>();
    moment->stream = s;
    e->last = moment;
    return machine().add(s, Work{[moment] { moment->done = true; }, nullptr});
}
static int cuEventSynchronize(Event* e) {
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    auto moment = e->last;
    if (moment) machine().finish(moment->stream, [moment] { return moment->done; });
    return machine().broken;
}
static int cuEventQuery(Event* e) {
    LOCKED;
    return e->last && !e->last->done ? NOT_READY : machine().broken;
}
static int cuStreamWaitEvent(Stream* s, Event* e, unsigned) {
    LOCKED;
    if (KNOWN(s)->recording) die("a recording waits for an event");
    return e->last ? machine().add(s, Work{nullptr, e->last}) : SUCCESS;
}

// ---- memory

static int pool;  // its address is the handle

static int cuDeviceGetMemPool(void** out, int) { return *out = &pool, SUCCESS; }
static int cuMemPoolSetAttribute(void*, int, void*) { return SUCCESS; }
static int cuMemPoolGetAttribute(void*, int attribute, void* out) {
    LOCKED;
    if (attribute < 4) return *static_cast<int*>(out) = 1, SUCCESS;
    *static_cast<uint64_t*>(out) = attribute == 4 ? ~uint64_t(0) : machine().used;
    return SUCCESS;
}
static int cuMemGetInfo(size_t* free, size_t* total) {
    LOCKED;
    return *free = machine().total - machine().used, *total = machine().total, SUCCESS;
}
// What an address held before comes back only in the order of the stream.
static int cuMemAllocFromPoolAsync(Address* out, size_t size, void*, Stream* s) {
    LOCKED;
    KNOWN(s);
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    const Address address = *out = machine().allocate(size);
    if (!address) return OUT_OF_MEMORY;
    auto begin = [address, size] { machine().poison(reinterpret_cast<char*>(address), size); };
    return machine().add(s, Work{begin, nullptr});
}
static int cuMemFreeAsync(Address address, Stream* s) {
    LOCKED;
    KNOWN(s);
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    if (!machine().inside(address, 1)) die("memory is freed that is not there");
    return machine().add(s, Work{[address] { machine().release(address); }, nullptr});
}
static int cuMemAllocHost(void** out, size_t size) {
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    *out = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    machine().poison(static_cast<char*>(*out), size);
    machine().pinned[reinterpret_cast<uint64_t>(*out)] = size;
    return SUCCESS;
}
static int cuMemFreeHost(void* at) {  // waits, as the driver does
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    machine().finish_all();
    if (!machine().pinned.erase(reinterpret_cast<uint64_t>(at))) die("memory of the host is freed that is not there");
    free(at);
    return SUCCESS;
}
static int cuPointerGetAttribute(void* out, int attribute, Address address) {
    LOCKED;
    if (attribute != 9) die("cuPointerGetAttribute of " + std::to_string(attribute));  // the device's number
    return machine().inside(address, 1) ? (*static_cast<int*>(out) = 0, SUCCESS) : INVALID_VALUE;
}

// Copies and fills whose memory has to be there when they are done.
static int touch(Stream* s, Address address, size_t size, std::function<void()> run) {
    auto checked = [address, size, run = std::move(run)] {
        if (machine().inside(address, size)) run();
        else machine().fail(ILLEGAL_ADDRESS, "a copy outside all memory");
    };
    return machine().add(s, Work{checked, nullptr});
}
static int cuMemcpyHtoDAsync(Address to, const void* from, size_t size, Stream* s) {
    LOCKED;
    if (KNOWN(s)->recording) die("a copy from the host is recorded");
    char* const target = reinterpret_cast<char*>(to);
    if (machine().is_pinned(from, size)) return touch(s, to, size, [=] { memcpy(target, from, size); });
    const std::string kept(static_cast<const char*>(from), size);
    return touch(s, to, size, [=] { memcpy(target, kept.data(), size); });
}
static int cuMemcpyDtoHAsync(void* to, Address from, size_t size, Stream* s) {
    LOCKED;
    if (KNOWN(s)->recording) die("a copy to the host is recorded");
    const char* const source = reinterpret_cast<const char*>(from);
    const int result = touch(s, from, size, [=] { memcpy(to, source, size); });
    if (!machine().is_pinned(to, size)) machine().finish(s);
    return result ? result : machine().broken;
}
template <typename T>
static int fill(Address to, T value, size_t count, Stream* s) {
    LOCKED;
    KNOWN(s);
    T* const target = reinterpret_cast<T*>(to);
    return touch(s, to, count * sizeof(T), [=] { std::fill_n(target, count, value); });
}
static int cuMemsetD8Async(Address to, uint8_t value, size_t count, Stream* s) { return fill(to, value, count, s); }
static int cuMemsetD16Async(Address to, uint16_t value, size_t count, Stream* s) { return fill(to, value, count, s); }
static int cuMemsetD32Async(Address to, uint32_t value, size_t count, Stream* s) { return fill(to, value, count, s); }

#include "kernels.h"
#include "graphs.h"

// ---- for tests: what was not given back

API stand_in_counts(uint64_t* bytes, uint64_t* pinned, uint64_t* streams, uint64_t* libraries) {
    LOCKED;
    machine().finish_all();
    *bytes = machine().used, *pinned = machine().pinned.size(), *libraries = uint64_t(loaded_libraries), *streams = 0;
    for (const Stream* s : machine().streams) *streams += !s->destroyed;
    return SUCCESS;
}

// ---- by name

#define FUNCTION(name) {#name, reinterpret_cast<void*>(&name)}
static const std::map<std::string, void*> FUNCTIONS = {
    FUNCTION(cuGetErrorName), FUNCTION(cuGetErrorString), FUNCTION(cuDriverGetVersion), FUNCTION(cuInit),
    FUNCTION(cuDeviceGetCount), FUNCTION(cuDeviceGet), FUNCTION(cuDeviceGetName), FUNCTION(cuDeviceGetUuid),
    FUNCTION(cuDeviceTotalMem),
    FUNCTION(cuDeviceGetAttribute), FUNCTION(cuDevicePrimaryCtxRetain), FUNCTION(cuDevicePrimaryCtxRelease),
    FUNCTION(cuCtxSetCurrent), FUNCTION(cuCtxGetCurrent), FUNCTION(cuCtxGetDevice),
    FUNCTION(cuCtxGetStreamPriorityRange), FUNCTION(cuCtxSynchronize), FUNCTION(cuStreamCreateWithPriority),
    FUNCTION(cuStreamDestroy), FUNCTION(cuStreamGetCtx), FUNCTION(cuStreamGetDevice), FUNCTION(cuStreamGetFlags),
    FUNCTION(cuStreamGetPriority), FUNCTION(cuStreamSynchronize), FUNCTION(cuEventCreate), FUNCTION(cuEventDestroy),
    FUNCTION(cuEventRecord), FUNCTION(cuEventSynchronize), FUNCTION(cuEventQuery), FUNCTION(cuStreamWaitEvent),
    FUNCTION(cuDeviceGetMemPool), FUNCTION(cuMemPoolSetAttribute), FUNCTION(cuMemPoolGetAttribute),
    FUNCTION(cuMemGetInfo), FUNCTION(cuMemAllocFromPoolAsync), FUNCTION(cuMemFreeAsync), FUNCTION(cuMemAllocHost),
    FUNCTION(cuMemFreeHost), FUNCTION(cuMemcpyHtoDAsync), FUNCTION(cuMemcpyDtoHAsync), FUNCTION(cuMemsetD8Async),
    FUNCTION(cuMemsetD16Async), FUNCTION(cuMemsetD32Async), FUNCTION(cuPointerGetAttribute), FUNCTION(cuLibraryLoadData), FUNCTION(cuLibraryUnload),
    FUNCTION(cuLibraryGetKernel), FUNCTION(cuKernelGetFunction), FUNCTION(cuFuncLoad), FUNCTION(cuFuncIsLoaded),
    FUNCTION(cuFuncGetAttribute), FUNCTION(cuLaunchKernelEx), FUNCTION(cuStreamBeginCapture),
    FUNCTION(cuStreamEndCapture), FUNCTION(cuStreamIsCapturing), FUNCTION(cuStreamGetCaptureInfo),
    FUNCTION(cuGraphInstantiateWithParams), FUNCTION(cuGraphDestroy), FUNCTION(cuGraphExecDestroy),
    FUNCTION(cuGraphLaunch), FUNCTION(cuUserObjectCreate), FUNCTION(cuUserObjectRelease),
    FUNCTION(cuGraphRetainUserObject), FUNCTION(cuGraphReleaseUserObject),
};

// One function for each name that nobody wrote.
constexpr int MOST_UNKNOWN = 1024;
static std::string unknown_names[MOST_UNKNOWN];
template <int N>
static int unknown() {
    die(unknown_names[N] + " is not written");
}
template <int... N>
static void* unknown_at(int k, std::integer_sequence<int, N...>) {
    static int (*const all[])() = {&unknown<N>...};
    return reinterpret_cast<void*>(all[k]);
}

API cuGetProcAddress_v2(const char* name, void** out, int, uint64_t, int* status) {
    LOCKED;
    static int num_unknown = 0;
    static std::map<std::string, void*> given;
    if (status) *status = 0;
    if (FUNCTIONS.count(name)) return *out = FUNCTIONS.at(name), SUCCESS;
    if (!strcmp(name, "cuGetProcAddress")) return *out = reinterpret_cast<void*>(&cuGetProcAddress_v2), SUCCESS;
    if (!given.count(name)) {
        if (num_unknown == MOST_UNKNOWN) die("more functions than are foreseen");
        unknown_names[num_unknown] = name;
        given[name] = unknown_at(num_unknown++, std::make_integer_sequence<int, MOST_UNKNOWN>());
    }
    return *out = given[name], SUCCESS;
}
