#define _GNU_SOURCE
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUEUE_MAX 1024 // of one stream: more wait in the call, as a driver does

static struct CUstream_st legacy[DEVICES_MAX];
static __thread struct CUstream_st own[DEVICES_MAX];
static __thread uint32_t own_streams_pid;
static __thread int thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
static CUstream capturing[64];

static uint64_t thread_id(void)
{
  return (uint64_t)syscall(SYS_gettid);
}

static bool make_stream(CUstream stream, CUdevice device, bool blocking)
{
  for (uint16_t n = (uint16_t)W->devices_end; n < STREAMS_MAX; n++) {
    struct stream *s = &P->streams[n];
    if (s->used || s->head != 0) continue;
    *s = (struct stream){.device = (uint16_t)device, .used = 1, .blocking = blocking};
    *stream = (struct CUstream_st){.index = n, .device = (uint16_t)device, .context = current_context()};
    if (n >= P->streams_end) P->streams_end = n + 1u;
    return true;
  }
  return false;
}

CUstream find_stream(CUstream stream)
{
  CUcontext c = current_context();
  if (stream > CU_STREAM_PER_THREAD) return stream;
  if (c == NULL) return NULL;
  if (stream != CU_STREAM_PER_THREAD) {
    legacy[c->device].index = legacy[c->device].device = (uint16_t)c->device;
    legacy[c->device].context = c;
    return &legacy[c->device];
  }
  if (own_streams_pid != (uint32_t)getpid()) memset(own, 0, sizeof own);
  own_streams_pid = (uint32_t)getpid();
  if (own[c->device].index == 0 && !make_stream(&own[c->device], c->device, true)) return NULL;
  return &own[c->device];
}

uint64_t enqueue(CUstream stream, uint64_t duration, uint64_t after, int32_t event)
{
  struct stream *s = &P->streams[stream->index];
  if (s->last > QUEUE_MAX && s->head != 0 && P->end - s->head > QUEUE_MAX) world_wait(W, P, s->head);
  struct item i = {.left = duration, .after = after, .stream = stream->index, .device = stream->device, .event = event};
  return world_enqueue(W, P, &i);
}

void wait_device(CUdevice device)
{
  world_turn(W);
  for (uint32_t n = 0; n < P->streams_end; n++)
    if (P->streams[n].device == device && P->streams[n].head != 0) world_wait(W, P, P->streams[n].last);
}

bool is_unsafe_during_capture(void)
{
  bool any = false;
  for (unsigned n = 0; n < sizeof capturing / sizeof capturing[0] && thread_mode != CU_STREAM_CAPTURE_MODE_RELAXED; n++) {
    CUstream s = capturing[n];
    if (s == NULL || s->capture_mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
    if (s->capture_mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && s->capture_thread != thread_id()) continue;
    if (thread_mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && s->capture_thread != thread_id()) continue;
    s->invalidated = any = true;
  }
  return any;
}

CU(cuThreadExchangeStreamCaptureMode, int *mode)
{
  int before = thread_mode;
  thread_mode = *mode;
  *mode = before;
  return CUDA_SUCCESS;
}

CU(cuStreamCreate, CUstream *stream, unsigned int flags)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  CUcontext c = current_context();
  if (c == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  CUstream made = calloc(1, sizeof *made);
  if (!make_stream(made, c->device, !(flags & CU_STREAM_NON_BLOCKING))) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  *stream = made;
  return leave(CUDA_SUCCESS);
}

CU(cuStreamCreateWithPriority, CUstream *stream, unsigned int flags, int priority)
{
  (void)priority;
  return cuStreamCreate(stream, flags);
}

// What is queued still runs; the slot is used again once it is empty.
CU(cuStreamDestroy_v2, CUstream stream)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  if (stream <= CU_STREAM_PER_THREAD) return leave(CUDA_ERROR_INVALID_HANDLE);
  P->streams[stream->index].used = 0;
  free(stream);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuStreamDestroy, cuStreamDestroy_v2)

static CUresult begin(uint64_t cost_ns, CUstream *stream)
{
  CUresult r = enter(cost_ns);
  if (r != CUDA_SUCCESS) return r;
  *stream = find_stream(*stream);
  return *stream == NULL ? leave(CUDA_ERROR_INVALID_CONTEXT) : CUDA_SUCCESS;
}

static CUresult synchronize(CUstream stream)
{
  CUresult r = begin(500, &stream);
  if (r != CUDA_SUCCESS) return r;
  if (stream->capture != NULL || is_unsafe_during_capture()) {
    stream->invalidated = stream->capture != NULL;
    return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  }
  world_turn(W);
  if (P->streams[stream->index].head != 0) world_wait(W, P, P->streams[stream->index].last);
  trim_pools(stream->device, true);
  return leave(CUDA_SUCCESS);
}

static CUresult query(CUstream stream)
{
  CUresult r = begin(500, &stream);
  if (r != CUDA_SUCCESS) return r;
  world_turn(W);
  return leave(P->streams[stream->index].head == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

static CUresult wait_event(CUstream stream, CUevent event)
{
  CUresult r = begin(500, &stream);
  if (r != CUDA_SUCCESS) return r;
  if (event->capture != NULL) {
    stream->capture = event->capture; // joins the capture
  } else if (stream->capture != NULL) {
    add_node(stream->capture, NODE_EMPTY);
  } else if (event->ticket != 0) {
    enqueue(stream, 0, event->ticket, -1);
  }
  return leave(CUDA_SUCCESS);
}

static CUresult record(CUevent event, CUstream stream)
{
  CUresult r = begin(500, &stream);
  if (r != CUDA_SUCCESS) return r;
  event->capture = stream->capture;
  event->device = stream->device;
  if (stream->capture != NULL) add_node(stream->capture, NODE_EMPTY);
  else event->ticket = enqueue(stream, 0, 0, event->index);
  return leave(CUDA_SUCCESS);
}

static CUresult context_of(CUstream stream, CUcontext *context)
{
  CUresult r = begin(100, &stream);
  if (r != CUDA_SUCCESS) return r;
  *context = stream->context;
  return leave(CUDA_SUCCESS);
}

CU(cuStreamSynchronize, CUstream stream) { return synchronize(stream); }
PER_THREAD(cuStreamSynchronize_ptsz, (CUstream stream), synchronize(OWN(stream)))
CU(cuStreamQuery, CUstream stream) { return query(stream); }
PER_THREAD(cuStreamQuery_ptsz, (CUstream stream), query(OWN(stream)))
CU(cuStreamGetCtx, CUstream stream, CUcontext *context) { return context_of(stream, context); }
PER_THREAD(cuStreamGetCtx_ptsz, (CUstream stream, CUcontext *context), context_of(OWN(stream), context))
CU(cuEventRecord, CUevent event, CUstream stream) { return record(event, stream); }
PER_THREAD(cuEventRecord_ptsz, (CUevent event, CUstream stream), record(event, OWN(stream)))

CU(cuStreamWaitEvent, CUstream stream, CUevent event, unsigned int flags)
{
  (void)flags;
  return wait_event(stream, event);
}
PER_THREAD(cuStreamWaitEvent_ptsz, (CUstream stream, CUevent event, unsigned int flags), ((void)flags, wait_event(OWN(stream), event)))

CU(cuEventRecordWithFlags, CUevent event, CUstream stream, unsigned int flags)
{
  (void)flags;
  return record(event, stream);
}
PER_THREAD(cuEventRecordWithFlags_ptsz, (CUevent event, CUstream stream, unsigned int flags), ((void)flags, record(event, OWN(stream))))

static uint8_t events_used[EVENTS_MAX];

CU(cuEventCreate, CUevent *event, unsigned int flags)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  if (current_context() == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  for (int n = 0; n < EVENTS_MAX; n++) {
    if (events_used[n]) continue;
    events_used[n] = 1;
    *event = calloc(1, sizeof **event);
    **event = (struct CUevent_st){.index = n, .flags = flags};
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_OUT_OF_MEMORY);
}

// The slot of one that is still to come is lost: its time would be set for another.
CU(cuEventDestroy_v2, CUevent event)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  if (event->ticket == 0 || world_done(P, event->ticket)) events_used[event->index] = 0;
  free(event);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuEventDestroy, cuEventDestroy_v2)

static CUresult begin_event(CUevent event)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  if (event == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  if (event->capture != NULL || is_unsafe_during_capture()) return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  world_turn(W);
  return CUDA_SUCCESS;
}

CU(cuEventQuery, CUevent event)
{
  CUresult r = begin_event(event);
  if (r != CUDA_SUCCESS) return r;
  return leave(event->ticket == 0 || world_done(P, event->ticket) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

CU(cuEventSynchronize, CUevent event)
{
  CUresult r = begin_event(event);
  if (r != CUDA_SUCCESS) return r;
  if (event->ticket != 0) world_wait(W, P, event->ticket);
  trim_pools(event->device, true);
  return leave(CUDA_SUCCESS);
}

CU(cuEventElapsedTime, float *milliseconds, CUevent start, CUevent end)
{
  CUresult r = begin_event(end);
  if (r != CUDA_SUCCESS) return r;
  if (((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) || start->ticket == 0 || end->ticket == 0) return leave(CUDA_ERROR_INVALID_HANDLE);
  if (!world_done(P, start->ticket) || !world_done(P, end->ticket)) return leave(CUDA_ERROR_NOT_READY);
  *milliseconds = (float)((double)(int64_t)(P->event_ns[end->index] - P->event_ns[start->index]) / 1e6);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuEventElapsedTime_v2, cuEventElapsedTime)

static CUresult begin_capture(CUstream stream, int mode)
{
  CUresult r = begin(1000, &stream);
  if (r != CUDA_SUCCESS) return r;
  if (stream->capture != NULL) return leave(CUDA_ERROR_ILLEGAL_STATE);
  if (stream == &legacy[stream->device]) return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  for (unsigned n = 0; n < sizeof capturing / sizeof capturing[0]; n++) {
    if (capturing[n] != NULL) continue;
    capturing[n] = stream;
    stream->capture = calloc(1, sizeof *stream->capture);
    stream->capture->device = stream->device;
    stream->capture_mode = mode;
    stream->capture_thread = thread_id();
    stream->invalidated = false;
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_OUT_OF_MEMORY);
}

static CUresult end_capture(CUstream stream, CUgraph *graph)
{
  CUresult r = begin(1000, &stream);
  if (r != CUDA_SUCCESS) return r;
  if (stream->capture == NULL) return leave(CUDA_ERROR_ILLEGAL_STATE);
  for (unsigned n = 0; n < sizeof capturing / sizeof capturing[0]; n++)
    if (capturing[n] == stream) capturing[n] = NULL;
  *graph = stream->invalidated ? NULL : stream->capture;
  stream->capture = NULL;
  return leave(stream->invalidated ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
}

static CUresult is_capturing(CUstream stream, int *status, CUgraph *graph)
{
  CUresult r = begin(100, &stream);
  if (r != CUDA_SUCCESS) return r;
  *status = stream->capture == NULL ? CU_STREAM_CAPTURE_STATUS_NONE
            : stream->invalidated   ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                    : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  if (graph != NULL) *graph = stream->capture;
  return leave(CUDA_SUCCESS);
}

CU(cuStreamBeginCapture, CUstream stream) { return begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL); }
PER_THREAD(cuStreamBeginCapture_ptsz, (CUstream stream), begin_capture(OWN(stream), CU_STREAM_CAPTURE_MODE_GLOBAL))
CU(cuStreamBeginCapture_v2, CUstream stream, int mode) { return begin_capture(stream, mode); }
PER_THREAD(cuStreamBeginCapture_v2_ptsz, (CUstream stream, int mode), begin_capture(OWN(stream), mode))
CU(cuStreamEndCapture, CUstream stream, CUgraph *graph) { return end_capture(stream, graph); }
PER_THREAD(cuStreamEndCapture_ptsz, (CUstream stream, CUgraph *graph), end_capture(OWN(stream), graph))
CU(cuStreamIsCapturing, CUstream stream, int *status) { return is_capturing(stream, status, NULL); }
PER_THREAD(cuStreamIsCapturing_ptsz, (CUstream stream, int *status), is_capturing(OWN(stream), status, NULL))

CU(cuStreamGetCaptureInfo_v2, CUstream stream, int *status, uint64_t *id, CUgraph *graph, const CUgraphNode **dependencies, size_t *count)
{
  if (id != NULL) *id = 1;
  if (dependencies != NULL) *dependencies = NULL;
  if (count != NULL) *count = 0;
  return is_capturing(stream, status, graph);
}
PER_THREAD(cuStreamGetCaptureInfo_v2_ptsz, (CUstream stream, int *status, uint64_t *id, CUgraph *graph, const CUgraphNode **dependencies, size_t *count), cuStreamGetCaptureInfo_v2(OWN(stream), status, id, graph, dependencies, count))
