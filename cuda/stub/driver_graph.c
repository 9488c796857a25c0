// Graphs run their nodes one after the other, in the order in which they were added. Memory of allocation nodes is there from launch to free node.
#include "driver.h"

#include <stdlib.h>
#include <string.h>

struct CUgraphExec_st {
  CUgraph graph;            // its own copy
};

CUgraphNode add_node(CUgraph graph, enum node_kind kind)
{
  CUgraphNode node = calloc(1, sizeof *node);
  *node = (struct CUgraphNode_st){.graph = graph, .kind = kind};
  if (graph->last != NULL) graph->last->next = node;
  else graph->first = node;
  graph->last = node;
  graph->count++;
  return node;
}

static void free_graph(CUgraph graph)
{
  for (CUgraphNode node = graph->first; node != NULL;) {
    CUgraphNode next = node->next;
    if (graph->is_clone && node->child != NULL) free_graph(node->child);
    free(node);
    node = next;
  }
  free(graph);
}

static CUgraph clone(CUgraph graph)
{
  CUgraph copy = calloc(1, sizeof *copy);
  copy->device = graph->device;
  copy->is_clone = true;
  for (CUgraphNode node = graph->first; node != NULL; node = node->next) {
    CUgraphNode made = add_node(copy, node->kind), next = made->next;
    *made = *node;
    made->next = next;
    made->graph = copy;
    if (node->child != NULL) made->child = clone(node->child);
  }
  return copy;
}

static CUresult begin_graph(CUgraph graph)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  return graph == NULL ? leave(CUDA_ERROR_INVALID_HANDLE) : CUDA_SUCCESS;
}

CU(cuGraphCreate, CUgraph *graph, unsigned int flags)
{
  (void)flags;
  CUcontext c = current_context();
  *graph = calloc(1, sizeof **graph);
  (*graph)->device = c == NULL ? 0 : c->device;
  return CUDA_SUCCESS;
}

CU(cuGraphDestroy, CUgraph graph)
{
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  free_graph(graph);
  return leave(CUDA_SUCCESS);
}

static void set_kernel(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *p)
{
  node->function = p->func;
  node->duration = kernel_duration(p->func, (uint64_t)p->gridDimX * p->gridDimY * p->gridDimZ, p->kernelParams, p->extra);
}

CU(cuGraphAddKernelNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  set_kernel(*node = add_node(graph, NODE_KERNEL), params);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddKernelNode_v2, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
  return cuGraphAddKernelNode(node, graph, after, count, (const CUDA_KERNEL_NODE_PARAMS_v1 *)params); // the first members are the same
}

CU(cuGraphKernelNodeSetParams_v2, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  set_kernel(node, (const CUDA_KERNEL_NODE_PARAMS_v1 *)params);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddHostNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, const CUDA_HOST_NODE_PARAMS *params)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  *node = add_node(graph, NODE_HOST);
  (*node)->host = params->fn;
  (*node)->data = params->userData;
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddEmptyNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  *node = add_node(graph, NODE_EMPTY);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddChildGraphNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUgraph child)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  *node = add_node(graph, NODE_GRAPH);
  (*node)->child = clone(child);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddMemAllocNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  int device = visible_device(params->poolProps.location.id);
  if (device < 0 || params->bytesize == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  *node = add_node(graph, NODE_ALLOC);
  (*node)->bytes = (params->bytesize + ALLOCATION_UNIT - 1) / ALLOCATION_UNIT * ALLOCATION_UNIT;
  (*node)->address = params->dptr = back_memory(params->bytesize);
  graph->device = device;
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddMemFreeNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUdeviceptr address)
{
  (void)after, (void)count;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  *node = add_node(graph, NODE_FREE);
  (*node)->address = address;
  return leave(CUDA_SUCCESS);
}

CU(cuGraphAddNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUgraphNodeParams *params)
{
  switch (params->type) {
  case CU_GRAPH_NODE_TYPE_KERNEL: return cuGraphAddKernelNode_v2(node, graph, after, count, &params->kernel);
  case CU_GRAPH_NODE_TYPE_MEM_ALLOC: return cuGraphAddMemAllocNode(node, graph, after, count, &params->alloc);
  case CU_GRAPH_NODE_TYPE_MEM_FREE: return cuGraphAddMemFreeNode(node, graph, after, count, params->free.dptr);
  case CU_GRAPH_NODE_TYPE_EMPTY: return cuGraphAddEmptyNode(node, graph, after, count);
  default: return CUDA_ERROR_NOT_SUPPORTED;
  }
}

CU(cuGraphGetNodes, CUgraph graph, CUgraphNode *nodes, size_t *count)
{
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  size_t n = 0;
  for (CUgraphNode node = graph->first; nodes != NULL && node != NULL && n < *count; node = node->next) nodes[n++] = node;
  *count = nodes == NULL ? graph->count : n;
  return leave(CUDA_SUCCESS);
}

CU(cuGraphNodeGetType, CUgraphNode node, int *type)
{
  *type = (int)node->kind;
  return CUDA_SUCCESS;
}

CU(cuGraphInstantiateWithFlags, CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
  (void)flags;
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  *exec = malloc(sizeof **exec);
  (*exec)->graph = clone(graph);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphInstantiate_v2, CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log, size_t bytes)
{
  if (error != NULL) *error = NULL;
  if (log != NULL && bytes > 0) *log = 0;
  return cuGraphInstantiateWithFlags(exec, graph, 0);
}
ALIAS(cuGraphInstantiate, cuGraphInstantiate_v2)

CU(cuGraphInstantiateWithParams, CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
  params->result_out = 0;
  return cuGraphInstantiateWithFlags(exec, graph, params->flags);
}
ALIAS(cuGraphInstantiateWithParams_ptsz, cuGraphInstantiateWithParams)

// The node is one of the graph that the exec was made of: the copy is the one at the same place.
static CUgraphNode find_copy(CUgraphExec exec, CUgraphNode node)
{
  CUgraphNode from = node->graph->first, to = exec->graph->first;
  while (from != NULL && to != NULL && from != node) from = from->next, to = to->next;
  return from == node ? to : NULL;
}

CU(cuGraphExecKernelNodeSetParams_v2, CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUgraphNode copy = find_copy(exec, node);
  if (copy == NULL || copy->kind != NODE_KERNEL) return leave(CUDA_ERROR_INVALID_VALUE);
  set_kernel(copy, (const CUDA_KERNEL_NODE_PARAMS_v1 *)params);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuGraphExecKernelNodeSetParams, cuGraphExecKernelNodeSetParams_v2)

CU(cuGraphExecUpdate_v2, CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *result)
{
  CUresult r = begin_graph(graph);
  if (r != CUDA_SUCCESS) return r;
  bool same = exec->graph->count == graph->count;
  *result = (CUgraphExecUpdateResultInfo){.result = same ? 0 : 2};
  if (!same) return leave(910); // CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE
  free_graph(exec->graph);
  exec->graph = clone(graph);
  return leave(CUDA_SUCCESS);
}

CU(cuGraphExecDestroy, CUgraphExec exec)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  free_graph(exec->graph);
  free(exec);
  return leave(CUDA_SUCCESS);
}

static CUresult run(CUgraph graph, CUstream stream)
{
  CUmemoryPool pool = &graph_pools[graph->device];
  for (CUgraphNode node = graph->first; node != NULL; node = node->next) {
    struct allocation *a;
    switch (node->kind) {
    case NODE_KERNEL: enqueue(stream, node->duration, 0, -1); break;
    case NODE_GRAPH: {
      CUresult r = run(node->child, stream);
      if (r != CUDA_SUCCESS) return r;
      break;
    }
    case NODE_HOST:
      world_wait(W, P, enqueue(stream, 0, 0, -1));
      leave(CUDA_SUCCESS);
      node->host(node->data);
      enter(0);
      break;
    case NODE_ALLOC:
      if (find_allocation(node->address) != NULL) return CUDA_ERROR_INVALID_VALUE; // not freed since the last launch
      if (!pool_take(pool, node->bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
      remember(node->address, node->bytes, node->bytes, pool->device)->pool = pool;
      break;
    case NODE_FREE:
      if ((a = find_allocation(node->address)) == NULL) return CUDA_ERROR_INVALID_VALUE;
      pool_give(pool, a->charged);
      a->bytes = 0; // the pages stay for the next launch
      forget(node->address);
      break;
    case NODE_EMPTY: break;
    }
  }
  return CUDA_SUCCESS;
}

static CUresult launch(CUgraphExec exec, CUstream stream)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (s->capture != NULL) {
    add_node(s->capture, NODE_GRAPH)->child = clone(exec->graph);
    return leave(CUDA_SUCCESS);
  }
  return leave(run(exec->graph, s));
}

CU(cuGraphLaunch, CUgraphExec exec, CUstream stream) { return launch(exec, stream); }
PER_THREAD(cuGraphLaunch_ptsz, (CUgraphExec exec, CUstream stream), launch(exec, OWN(stream)))

CU(cuGraphUpload, CUgraphExec exec, CUstream stream)
{
  (void)exec, (void)stream;
  return CUDA_SUCCESS;
}
ALIAS(cuGraphUpload_ptsz, cuGraphUpload)
