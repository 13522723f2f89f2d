// Maps of all kinds of keys and values. The program is there because an object needs one; tests write the entries.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

enum action {
	PASS,
	DROP = 7,
	LOG = 200,
};

struct point {
	short x;
	short y;
};

struct flow {
	__u32 source;
	__u16 port;
	__u8 mac[6];
	enum action action;
};

struct about {
	__u64 packets;
	__s64 balance;
	char comm[16];
	__u8 bytes[5];
	bool seen;
	_Bool flags[2];
	struct point corners[2];
	int grid[2][3];
	union {
		__u32 word;
		struct {
			__u16 low;
			__u16 high;
		};
	};
	union {
		__u8 octets[4];
		__u32 address;
	} from;
	__u32 version : 4;
	__u32 kind : 3;
	int depth : 5;
	__u32 : 4;
	__u32 rest : 16;
	__u64 wide : 33;
	struct point *where;
	enum action last;
	unsigned __int128 huge;
} __attribute__((aligned(16)));

struct sums {
	__u64 packets;
	__s32 delta;
	char name[8];
	struct point point;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, struct about);
	__uint(max_entries, 64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, __u64);
	__type(value, struct sums);
	__uint(max_entries, 64);
} per_cpu_hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 3);
} per_cpu_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, enum action);
	__uint(max_entries, 3);
} actions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, 3);
	__uint(value_size, 5);
	__uint(max_entries, 8);
} untyped SEC(".maps");

const volatile struct point origin = {-3, 4};
int answer = 42;
char motto[12] = "hello";

SEC("socket")
int keep(void *context)
{
	__u32 zero = 0;

	answer += origin.x + motto[0];
	bpf_map_lookup_elem(&actions, &zero);
	bpf_map_lookup_elem(&per_cpu_array, &zero);
	bpf_map_lookup_elem(&per_cpu_hash, &(__u64){0});
	bpf_map_lookup_elem(&untyped, &zero);
	return bpf_map_lookup_elem(&flows, &(struct flow){}) != 0;
}

char LICENSE[] SEC("license") = "GPL";
