// What one process hands to functions, and gets from them: of a library by perf buffers, of the kernel in a map.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>

enum side {
	ENTRY,
	RETURN,
};

struct call {
	enum side side;
	__u32 tid;
	__s64 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __s64);
	__type(value, __u64);
	__uint(max_entries, 64);
} returned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} sides SEC(".maps");

const volatile __u32 target = 0;
struct call *unused __attribute__((unused));

static __always_inline int is_other(void)
{
	return bpf_get_current_pid_tgid() >> 32 != target;
}

static __always_inline int tell(void *context, enum side side, __s64 number)
{
	struct call call = {side, bpf_get_current_pid_tgid(), number};

	if (!is_other())
		bpf_perf_event_output(context, &calls, BPF_F_CURRENT_CPU, &call, sizeof(call));
	return 0;
}

static __always_inline void count(enum side side)
{
	__u32 slot = side;
	__u64 *sum = bpf_map_lookup_elem(&sides, &slot);

	if (sum && !is_other())
		__sync_fetch_and_add(sum, 1);
}

// The registers that x86_64 hands arguments and results over in.
SEC("uprobe")
int on_call(struct pt_regs *context)
{
	return tell(context, ENTRY, context->rdi);
}

SEC("uretprobe")
int on_return(struct pt_regs *context)
{
	return tell(context, RETURN, context->rax);
}

SEC("?kprobe/__x64_sys_getpriority")
int on_entry(struct pt_regs *context)
{
	count(ENTRY);
	return 0;
}

SEC("kretsyscall/getpriority")
int on_result(struct pt_regs *context)
{
	__s64 result = context->rax;
	__u64 one = 1, *sum;

	if (is_other())
		return 0;
	count(RETURN);
	sum = bpf_map_lookup_elem(&returned, &result);
	if (sum)
		__sync_fetch_and_add(sum, 1);
	else
		bpf_map_update_elem(&returned, &result, &one, BPF_ANY);
	return 0;
}

SEC("tracepoint/task/task_rename")
int on_rename(void *context)
{
	count(ENTRY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
