/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policy and connection tracking cost alone: the programs' own functions for one packet, a hundred times in one run, so that neither the harness nor the
 * rest of the way counts. The frame ends in what the caller of these functions would know.
 */
#define HOOK_XDP
#include "conntrack.h"

#define ROUNDS 100

struct known {
	__u32 vni;
	__u32 identity;
	__u32 destination_set;
	/* Not 0: each packet begins another flow, through so many source ports. */
	__u32 ports;
	/* Not 0: only that is done which the other figure must be free of. */
	__u32 is_baseline;
};

struct job {
	struct flow flow;
	struct known known;
	struct path path;
	context *ctx;
	__u32 port;
	int reason;
};

static long admit_once(__u32 index, struct job *job)
{
	struct found found;

	if (job->known.ports)
		job->flow.source_port = 1024 + job->port++ % job->known.ports;
	if (job->known.is_baseline)
		return 0;
	find_flow(job->ctx, &job->flow, &found);
	job->reason |= admit(&job->flow, &job->path, &found);
	return 0;
}

SEC("xdp")
int admit_many(context *ctx)
{
	struct job job = { .ctx = ctx };

	if (parse_ipv4(ctx, sizeof(struct ethhdr), &job.flow) != DROP_NONE ||
	    context_load(ctx, context_length(ctx) - sizeof(job.known), &job.known, sizeof(job.known)) < 0)
		return XDP_ABORTED;
	job.flow.vni = job.known.vni;
	job.flow.identity = job.known.identity;
	job.path.destination_device = 1;
	job.path.destination_set = job.known.destination_set;
	job.port = bpf_get_prandom_u32();
	bpf_loop(ROUNDS, admit_once, &job, 0);
	return job.reason == DROP_NONE ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Apache-2.0";
