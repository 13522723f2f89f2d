/* A known workload: three functions that take known parts of the CPU time, as the CPU's clock says.
 *
 * It waits for a line, runs for so many seconds (its argument), prints how many nanoseconds of CPU time each of the
 * functions took, and waits for the end of its input. Built with frame pointers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static volatile uint64_t sink;

static inline __attribute__((always_inline)) void spin(uint64_t rounds) {
    for (uint64_t round = 0; round < rounds; round++)
        sink += round;
}

__attribute__((noinline)) void heavy(uint64_t unit) { spin(6 * unit); }
__attribute__((noinline)) void middling(uint64_t unit) { spin(3 * unit); }
__attribute__((noinline)) void light(uint64_t unit) { spin(unit); }

static void (*const functions[])(uint64_t) = {heavy, middling, light};

__attribute__((noinline)) void work(uint64_t end, uint64_t *took) {
    while (now(CLOCK_MONOTONIC) < end)
        for (int number = 0; number < 3; number++) {
            uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);
            functions[number](1000000);
            took[number] += now(CLOCK_THREAD_CPUTIME_ID) - start;
        }
}

int main(int argc, char **argv) {
    uint64_t took[3] = {0};
    (void)argc;
    getchar();
    work(now(CLOCK_MONOTONIC) + atof(argv[1]) * 1e9, took);
    printf("[%llu, %llu, %llu]\n", (unsigned long long)took[0], (unsigned long long)took[1],
           (unsigned long long)took[2]);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
