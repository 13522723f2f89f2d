// Three programs on packets, each of which calls the next through a program array, and counts where there is none.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum stage {
	LINK,
	NETWORK,
	TRANSPORT,
	STAGES,
};

struct seen {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(max_entries, STAGES);
} stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct seen);
	__uint(max_entries, STAGES);
} seen SEC(".maps");

__u64 missing[STAGES];

static __always_inline void count(struct xdp_md *context, __u32 stage)
{
	struct seen *sum = bpf_map_lookup_elem(&seen, &stage);

	if (sum) {
		sum->packets += 1;
		sum->bytes += context->data_end - context->data;
	}
}

static __always_inline int go_on(struct xdp_md *context, __u32 stage)
{
	bpf_tail_call(context, &stages, stage);
	__sync_fetch_and_add(&missing[stage], 1);
	return XDP_PASS;
}

SEC("xdp")
int on_link(struct xdp_md *context)
{
	count(context, LINK);
	return go_on(context, NETWORK);
}

SEC("xdp")
int on_network(struct xdp_md *context)
{
	count(context, NETWORK);
	return go_on(context, TRANSPORT);
}

SEC("xdp")
int on_transport(struct xdp_md *context)
{
	count(context, TRANSPORT);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
