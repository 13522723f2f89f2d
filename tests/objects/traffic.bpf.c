// Counts packets where tc sees them and where a cgroup does, by direction and protocol.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum place {
	TC,
	CGROUP,
};

struct key {
	enum place place;
	__u16 protocol;
	struct {
		__u8 is_egress;
		__u8 padding;
	};
};

struct sums {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct key);
	__type(value, struct sums);
	__uint(max_entries, 64);
} counts SEC(".maps");

static __always_inline void count(struct __sk_buff *packet, enum place place, __u8 is_egress)
{
	struct key key = {place, bpf_ntohs(packet->protocol), {is_egress, 0}};
	struct sums first = {}, *sums;

	bpf_map_update_elem(&counts, &key, &first, BPF_NOEXIST);
	sums = bpf_map_lookup_elem(&counts, &key);
	if (sums) {
		sums->packets += 1;
		sums->bytes += packet->len;
	}
}

SEC("tc")
int on_receive(struct __sk_buff *packet)
{
	count(packet, TC, 0);
	return TC_ACT_UNSPEC;
}

SEC("tcx/egress")
int on_send(struct __sk_buff *packet)
{
	count(packet, TC, 1);
	return TC_ACT_UNSPEC;
}

SEC("cgroup_skb/ingress")
int into_cgroup(struct __sk_buff *packet)
{
	count(packet, CGROUP, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int out_of_cgroup(struct __sk_buff *packet)
{
	count(packet, CGROUP, 1);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
