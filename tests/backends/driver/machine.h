// What stands for a GPU: memory of the host, streams that do their work as late as they may, recordings.
//
// Nothing runs before someone waits for it. With a seed other than 0 work of any stream may also run before that, by
// chance, so that each order that a GPU may take can come up. What is wrong on a GPU now and then is wrong here at once:
// memory is garbage until it is written and once it is freed, and what no recording can have ends it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

enum Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903,
    CAPTURE_ISOLATION = 905
};

[[noreturn]] inline void die(const std::string& what) {
    std::fprintf(stderr, "stand-in for the driver: %s\n", what.c_str());
    std::fflush(stderr);
    std::abort();
}

struct Stream;

// That all before it was done, once.
struct Moment {
    Stream* stream = nullptr;
    bool done = false;
};

struct Work {
    std::function<void()> run;
    std::shared_ptr<Moment> awaits;
};

// What a graph keeps for others.
struct UserObject {
    void* what;
    void (*end)(void*);
    int count;
};

struct Graph {
    std::vector<Work> work;
    std::vector<UserObject*> objects;
    bool destroyed = false;
};

struct Stream {
    std::deque<Work> queue;
    Graph* recording = nullptr;
    bool invalid = false;  // the recording
    bool destroyed = false;
};

struct Event {
    std::shared_ptr<Moment> last;
};

constexpr size_t GUARD = 4096;

struct Allocation {
    char* room;
    size_t size;
};

struct Machine {
    std::recursive_mutex lock;
    std::vector<Stream*> streams;
    std::map<uint64_t, Allocation> memory;  // by address
    std::map<uint64_t, size_t> pinned;      // memory of the host
    size_t used = 0, total = size_t(1) << 33;
    uint64_t seed = 0, random = 0;
    Result broken = SUCCESS;  // for good, as a context is
    bool eager = false;
    char guard[GUARD];

    Machine() {
        const uint32_t word = 0xFFFFFFC7u;  // NaN, or negative
        for (size_t k = 0; k < GUARD; k += 4) memcpy(guard + k, &word, 4);
        const char* given = getenv("GENN_DELAYS_STAND_IN_SEED");
        random = seed = given ? strtoull(given, nullptr, 10) : 0;
        const char* loading = getenv("CUDA_MODULE_LOADING");
        eager = loading && !strcmp(loading, "EAGER");
    }

    uint32_t draw(uint32_t below) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        return uint32_t(random >> 33) % below;
    }

    // ---- work

    static bool ready(const Stream* s) {
        return !s->queue.empty() && (!s->queue.front().awaits || s->queue.front().awaits->done);
    }

    void step(Stream* s) {
        Work work = std::move(s->queue.front());
        s->queue.pop_front();
        if (work.run && broken == SUCCESS) work.run();
    }

    void step_any() {
        std::vector<Stream*> candidates;
        for (Stream* s : streams)
            if (ready(s)) candidates.push_back(s);
        if (!candidates.empty()) step(candidates[draw(uint32_t(candidates.size()))]);
    }

    // As little as must be done.
    void finish(Stream* s, const std::function<bool()>& enough) {
        while (!enough()) {
            if (seed && draw(3) == 0) {
                step_any();
                continue;
            }
            Stream* next = s;
            while (!ready(next)) {
                if (next->queue.empty()) die("a stream waits for what nobody does");
                next = next->queue.front().awaits->stream;
            }
            step(next);
        }
    }

    void finish(Stream* s) {
        finish(s, [s] { return s->queue.empty(); });
    }

    void finish_all() {
        for (size_t k = 0; k < streams.size(); ++k) finish(streams[seed ? streams.size() - 1 - k : k]);
    }

    Result add(Stream* s, Work work) {
        if (s->recording) {
            if (s->invalid) return CAPTURE_INVALIDATED;
            s->recording->work.push_back(std::move(work));
            return SUCCESS;
        }
        s->queue.push_back(std::move(work));
        if (seed)
            for (uint32_t k = draw(3); k > 0; --k) step_any();
        return broken;
    }

    // ---- recordings

    // What no recording can have, of whichever stream: it is over.
    bool forbidden(const char* function) {
        bool found = false;
        for (Stream* s : streams)
            if (s->recording) found = s->invalid = true;
        if (found) std::fprintf(stderr, "stand-in for the driver: %s ends a recording\n", function);
        return found;
    }

    // ---- memory

    void poison(char* at, size_t size) {
        for (size_t k = 0; k < size; k += GUARD) memcpy(at + k, guard, size - k < GUARD ? size - k : GUARD);
    }

    uint64_t allocate(size_t size) {
        if (size > total - used) return 0;
        char* const room = static_cast<char*>(aligned_alloc(256, (size + 2 * GUARD + 255) / 256 * 256));
        if (!room) return 0;
        memcpy(room, guard, GUARD);
        poison(room + GUARD, size);
        memcpy(room + GUARD + size, guard, GUARD);
        const uint64_t address = reinterpret_cast<uint64_t>(room) + GUARD;
        memory[address] = Allocation{room, size};
        used += size;
        return address;
    }

    bool release(uint64_t address) {
        const auto found = memory.find(address);
        if (found == memory.end()) return false;
        poison(found->second.room, found->second.size + 2 * GUARD);
        used -= found->second.size;
        free(found->second.room);
        memory.erase(found);
        return true;
    }

    bool inside(uint64_t address, size_t size) const {
        auto found = memory.upper_bound(address);
        if (found == memory.begin()) return false;
        --found;
        return address + size <= found->first + found->second.size;
    }

    bool is_pinned(const void* at, size_t size) const {
        const uint64_t address = reinterpret_cast<uint64_t>(at);
        auto found = pinned.upper_bound(address);
        if (found == pinned.begin()) return false;
        --found;
        return address + size <= found->first + found->second;
    }

    void fail(Result result, const std::string& what) {
        std::fprintf(stderr, "stand-in for the driver: %s\n", what.c_str());
        broken = result;
    }

    void check_guards(const std::string& kernel) {
        for (const auto& [address, a] : memory)
            if (memcmp(a.room, guard, GUARD) || memcmp(a.room + GUARD + a.size, guard, GUARD))
                return fail(ILLEGAL_ADDRESS, "kernel " + kernel + " wrote outside " + std::to_string(a.size) + " bytes");
    }
};
