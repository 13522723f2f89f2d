// Counts and reports the calls of getpriority(2) by one process: its second argument says how many, and what.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

enum parity {
	EVEN,
	ODD,
};

struct event {
	__u64 number;
	int tgid;
	enum parity parity;
	char comm[16];
	bool first;
};

struct key {
	__u32 pid;
	enum parity parity;
};

struct count {
	__u64 calls;
	__s64 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key);
	__type(value, struct count);
	__uint(max_entries, 16);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct count);
	__uint(max_entries, 1);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

const volatile __u32 target = 0;
const volatile struct key pair = {1, ODD};
__u64 seen = 0;
struct event *unused __attribute__((unused));

SEC("raw_tracepoint/sys_enter")
int on_sys_enter(struct bpf_raw_tracepoint_args *context)
{
	__u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;

	// getpriority on x86_64
	if (pid != target || context->args[1] != 140)
		return 0;
	struct pt_regs *registers = (struct pt_regs *)context->args[0];
	__u64 number = 0;
	bpf_probe_read_kernel(&number, sizeof(number), &registers->rsi);
	struct key key = {pid, number % 2 ? ODD : EVEN};
	struct count first = {}, *count;

	bpf_map_update_elem(&counts, &key, &first, BPF_NOEXIST);
	count = bpf_map_lookup_elem(&counts, &key);
	if (count) {
		__sync_fetch_and_add(&count->calls, 1);
		count->last = -(__s64)number;
	}
	count = bpf_map_lookup_elem(&totals, &zero);
	if (count)
		count->calls += 1;
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->number = number;
	event->parity = key.parity;
	// Before 5.12 nothing can be fetched by adding.
	event->first = seen == 0;
	__sync_fetch_and_add(&seen, 1);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	event->tgid = BPF_CORE_READ(task, tgid);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
