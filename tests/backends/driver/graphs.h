// Recordings and graphs, as strict as the strictest mode of recording, whichever was asked for.
#pragma once

struct Executable {
    std::vector<Work> work;
    std::vector<UserObject*> objects;
};
struct InstantiateParams {
    uint64_t flags;
    Stream* upload;
    void* failed;
    int result;
};

static int cuUserObjectCreate(UserObject** out, void* what, void (*end)(void*), unsigned count, unsigned) {
    return *out = new UserObject{what, end, int(count)}, SUCCESS;
}
static void release(UserObject* object, int count) {
    if ((object->count -= count) > 0) return;
    object->end(object->what);
    delete object;
}
static int cuUserObjectRelease(UserObject* object, unsigned count) {
    LOCKED;
    return release(object, int(count)), SUCCESS;
}
static int cuGraphRetainUserObject(Graph* graph, UserObject* object, unsigned count, unsigned flags) {
    LOCKED;
    if (count != 1) die("a graph retains an object more than once");
    if (!(flags & 1)) ++object->count;  // else the reference moves
    return graph->objects.push_back(object), SUCCESS;
}
static int cuGraphReleaseUserObject(Graph* graph, UserObject* object, unsigned count) {
    LOCKED;
    const auto found = std::find(graph->objects.begin(), graph->objects.end(), object);
    if (count != 1 || found == graph->objects.end()) die("a graph releases an object that it does not keep");
    graph->objects.erase(found);
    return release(object, 1), SUCCESS;
}

static int cuStreamBeginCapture(Stream* s, int) {
    LOCKED;
    if (KNOWN(s)->recording) return CAPTURE_UNSUPPORTED;
    s->recording = new Graph;
    return s->invalid = false, SUCCESS;
}
static int cuStreamIsCapturing(Stream* s, int* status) {
    LOCKED;
    return *status = !KNOWN(s)->recording ? 0 : s->invalid ? 2 : 1, SUCCESS;
}
static int cuStreamGetCaptureInfo(Stream* s, int* status, uint64_t* id, Graph** graph, void*, void*, void*) {
    LOCKED;
    cuStreamIsCapturing(s, status);
    if (id) *id = 1;
    if (graph) *graph = s->invalid ? nullptr : s->recording;
    return SUCCESS;
}
// A recording that was given up takes its graph with it.
static int cuStreamEndCapture(Stream* s, Graph** graph) {
    LOCKED;
    if (!KNOWN(s)->recording) return CAPTURE_UNMATCHED;
    Graph* const ended = std::exchange(s->recording, nullptr);
    ended->destroyed = s->invalid;
    if (graph) *graph = s->invalid ? nullptr : ended;
    return std::exchange(s->invalid, false) ? CAPTURE_INVALIDATED : SUCCESS;
}
static int cuGraphInstantiateWithParams(Executable** out, Graph* graph, InstantiateParams* params) {
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    if (graph->destroyed) die("a graph is instantiated that is destroyed");
    for (UserObject* object : graph->objects) ++object->count;
    *out = new Executable{graph->work, graph->objects};
    return params->result = 0, SUCCESS;
}
static int cuGraphDestroy(Graph* graph) {
    LOCKED;
    machine().forbidden(__func__);
    if (graph->destroyed) die("a graph is destroyed twice");
    for (const Stream* s : machine().streams)
        if (s->recording == graph) die("a graph is destroyed while it is recorded");
    graph->work.clear();
    for (UserObject* object : std::exchange(graph->objects, {})) release(object, 1);
    return graph->destroyed = true, SUCCESS;
}
static int cuGraphExecDestroy(Executable* executable) {  // what was launched is still done
    LOCKED;
    if (machine().forbidden(__func__)) return CAPTURE_UNSUPPORTED;
    for (UserObject* object : executable->objects) release(object, 1);
    delete executable;
    return SUCCESS;
}
static int cuGraphLaunch(Executable* executable, Stream* s) {
    LOCKED;
    if (KNOWN(s)->recording) die("a graph is launched in a recording");
    int result = SUCCESS;
    for (const Work& work : executable->work) result = result ? result : machine().add(s, work);
    return result;
}
