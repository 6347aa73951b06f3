/* Makes reads of tars slow, in a process that it is preloaded into: a disk with little bandwidth, or a file system
 * whose every read takes long. SLOW_READS_BYTES is bytes a second over all threads, SLOW_READS_SECONDS is seconds of
 * each read. Data that the kernel has in memory are slow too, as on a file system that keeps none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef ssize_t (*reading)(int, void *, size_t, off_t);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double free_at = 0;  /* when the disk has done all that was asked of it */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void wait_until(double moment) {
    struct timespec time = {(time_t)moment, (long)((moment - (time_t)moment) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL)) {
    }
}

static int is_tar(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path);
    return length >= 4 && !memcmp(path + length - 4, ".tar", 4);
}

static void take_time(int descriptor, size_t bytes) {
    const char *rate = getenv("SLOW_READS_BYTES"), *seconds = getenv("SLOW_READS_SECONDS");
    if ((!rate && !seconds) || !is_tar(descriptor)) {
        return;
    }
    if (seconds) {
        wait_until(now() + atof(seconds));
    }
    if (rate) {
        pthread_mutex_lock(&lock);
        double begins = now();
        free_at = (free_at > begins ? free_at : begins) + bytes / atof(rate);
        double done = free_at;
        pthread_mutex_unlock(&lock);
        wait_until(done);
    }
}

ssize_t pread(int descriptor, void *into, size_t bytes, off_t offset) {
    static reading real;
    if (!real) {
        real = (reading)dlsym(RTLD_NEXT, "pread");
    }
    take_time(descriptor, bytes);
    return real(descriptor, into, bytes, offset);
}

ssize_t pread64(int descriptor, void *into, size_t bytes, off_t offset) {
    return pread(descriptor, into, bytes, offset);
}
