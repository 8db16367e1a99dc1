// Kernels: a "cubin" is a text that names a library of the host and the sizes of its kernels' parameters.
#pragma once

struct ShimLaunch {
    uint32_t grid[3], block[3], shared;
    int32_t order;
    uint64_t seed;
};
struct ShimReport {
    uint32_t block[3];
    int32_t fault, thread, state, line, other, other_state, other_line;
};
struct Kernel {
    std::string name;
    int (*launch)(void**, const ShimLaunch*, ShimReport*);
    std::vector<size_t> sizes;
    bool loaded;
};
struct Library {
    std::map<std::string, Kernel> kernels;
    bool unloaded = false;
};
struct LaunchConfig {
    unsigned grid[3], block[3], shared;
    Stream* stream;
    void* attributes;
    unsigned num_attributes;
};

static int loaded_libraries = 0;

static int cuLibraryLoadData(Library** out, const void* code, void*, void*, unsigned, void*, void*, unsigned) {
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    std::istringstream text(static_cast<const char*>(code));
    std::string line, path;
    std::getline(text, line);
    if (line != "stand-in") return INVALID_IMAGE;
    std::getline(text, path);
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) die(dlerror());
    *out = new Library;
    ++loaded_libraries;
    while (std::getline(text, line)) {
        std::istringstream words(line);
        Kernel kernel{"", nullptr, {}, machine().eager};
        words >> kernel.name;
        for (size_t size; words >> size;) kernel.sizes.push_back(size);
        *reinterpret_cast<void**>(&kernel.launch) = dlsym(library, ("launch_" + kernel.name).c_str());
        if (!kernel.launch) die("no kernel " + kernel.name);
        (*out)->kernels[kernel.name] = kernel;
    }
    return SUCCESS;
}
static int cuLibraryUnload(Library* library) {  // waits, as the driver does
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    machine().finish_all();
    if (library->unloaded) die("a library is unloaded twice");
    --loaded_libraries;
    return library->unloaded = true, SUCCESS;
}
static int cuLibraryGetKernel(Kernel** out, Library* library, const char* name) {
    LOCKED;
    if (!library->kernels.count(name)) return NOT_FOUND;
    return *out = &library->kernels[name], SUCCESS;
}
static int cuKernelGetFunction(void** out, Kernel* kernel) { return *out = kernel, SUCCESS; }
static int load(Kernel* kernel) {
    if (!kernel->loaded && machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    return kernel->loaded = true, SUCCESS;
}
static int cuFuncLoad(Kernel* kernel) {
    LOCKED;
    return load(kernel);
}
static int cuFuncIsLoaded(int* out, Kernel* kernel) { return *out = kernel->loaded, SUCCESS; }
static int cuFuncGetAttribute(int* out, int, Kernel* kernel) {
    LOCKED;
    return *out = 32, load(kernel);
}

static void run(const Kernel& kernel, const ShimLaunch& launch, const std::vector<uint64_t>& slots) {
    std::vector<void*> arguments;
    for (const uint64_t& slot : slots) arguments.push_back(const_cast<uint64_t*>(&slot));
    arguments.push_back(nullptr);
    ShimReport report = {};
    kernel.launch(arguments.data(), &launch, &report);
    if (report.fault)
        return machine().fail(LAUNCH_FAILED, "kernel " + kernel.name + " failed: fault " + std::to_string(report.fault) +
                                                 " in line " + std::to_string(report.line));
    machine().check_guards(kernel.name);
}

static int cuLaunchKernelEx(const LaunchConfig* config, Kernel* kernel, void** parameters, void**) {
    LOCKED;
    Stream* stream = config->stream;
    KNOWN(stream);
    if (config->num_attributes) die("cuLaunchKernelEx with attributes");
    if (const int result = load(kernel)) return result;  // the first launch loads it
    ShimLaunch launch = {};
    for (int k = 0; k < 3; ++k) launch.grid[k] = config->grid[k], launch.block[k] = config->block[k];
    launch.shared = config->shared;
    launch.seed = machine().seed;
    launch.order = machine().seed == 0 ? 0 : 1 + int(machine().seed % 2);
    std::vector<uint64_t> slots(kernel->sizes.size());
    for (size_t k = 0; k < slots.size(); ++k) memcpy(&slots[k], parameters[k], kernel->sizes[k]);
    const Kernel copy = *kernel;
    return machine().add(stream, Work{[=] { run(copy, launch, slots); }, nullptr});
}
