/* A known workload: has code that it made itself run, and tells of it as interpreters do, in /tmp/perf-PID.map.
 *
 * It prints its map's name, and for each line that it reads it takes so many seconds of CPU time (its argument) in that
 * code, and prints `done`. For x86_64; built with frame pointers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* push %rbp; mov %rsp,%rbp; 1: dec %rdi; jnz 1b; pop %rbp; ret */
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xff, 0xcf, 0x75, 0xfb, 0x5d, 0xc3};

static double cpu_time(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    char name[64], line[64];
    void *made = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc != 2 || made == MAP_FAILED)
        return 1;
    memcpy(made, code, sizeof code);
    snprintf(name, sizeof name, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(name, "w");
    if (!map)
        return 1;
    fprintf(map, "%lx %zx py::busy:/srv/app.py\n", (unsigned long)made, sizeof code);
    fclose(map);
    puts(name);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        double end = cpu_time() + atof(argv[1]);
        while (cpu_time() < end)
            ((void (*)(uint64_t))made)(1000000);
        puts("done");
        fflush(stdout);
    }
    return unlink(name);
}
