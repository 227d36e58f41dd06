/* SPDX-License-Identifier: Apache-2.0
 * Log lines. One write(2) per line, so that lines of threads and processes do
 * not mix; each event has a budget per second, so that a noisy peer cannot
 * fill a disk. */
#include "base/ensure.h"
#include "io/sys.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_SIZE = 2048, /* bytes; longer lines are cut */
    EVENT_LINES_MAX = 20, /* per second */
    EVENT_NAME_MAX = 64,  /* bytes */
    EVENTS_MAX = 128,     /* remembered; more share the last slot */
    SUPPRESSED_ROOM = 40, /* " suppressed=N\n" */
};

struct event {
    char name[EVENT_NAME_MAX];
    time_t second; /* of the lines counted */
    uint32_t line_count;
    uint64_t suppressed_count; /* not reported yet */
};

static struct {
    pthread_mutex_t mutex;
    enum log_level level;
    struct event events[EVENTS_MAX];
    size_t event_count;
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO};

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    (void)pthread_mutex_lock(&logger.mutex); /* cannot fail: not recursive */
    logger.level = level;
    (void)pthread_mutex_unlock(&logger.mutex);
}

static struct event *find_event(const char *name)
{
    struct event *event;

    for (size_t i = 0; i < logger.event_count; i++) {
        if (strncmp(logger.events[i].name, name, EVENT_NAME_MAX - 1) == 0) {
            return &logger.events[i];
        }
    }
    if (logger.event_count == EVENTS_MAX) {
        return &logger.events[EVENTS_MAX - 1];
    }
    event = &logger.events[logger.event_count++];
    (void)snprintf(event->name, sizeof(event->name), "%s", name);
    return event;
}

/* Whether the event may have one more line; gives how many were dropped
 * since the last one. */
static bool take_budget(const char *name, time_t second,
                        uint64_t *ret_suppressed)
{
    struct event *event = find_event(name);

    if (event->second != second) {
        event->second = second;
        event->line_count = 0;
    }
    if (event->line_count >= EVENT_LINES_MAX) {
        event->suppressed_count++;
        return false;
    }
    event->line_count++;
    *ret_suppressed = event->suppressed_count;
    event->suppressed_count = 0;
    return true;
}

/* What snprintf() put into `room` bytes. */
static size_t written(int size, size_t room)
{
    if (size < 0) {
        return 0;
    }
    return (size_t)size < room ? (size_t)size : room - 1;
}

static size_t put_head(char *line, size_t room, const struct timespec *now,
                       enum log_level level, const char *event)
{
    struct tm utc;

    if (gmtime_r(&now->tv_sec, &utc) == NULL) {
        utc = (struct tm){0};
    }
    return written(snprintf(line, room,
                            "ts=%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ level=%s "
                            "event=%s ",
                            utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                            utc.tm_hour, utc.tm_min, utc.tm_sec,
                            now->tv_nsec / 1000, level_names[level], event),
                   room);
}

/* What peers sent may be in the line; it must not break it up. */
static void mask_controls(char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)line[i];

        if (c < ' ' || c == 0x7f) {
            line[i] = '?';
        }
    }
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char line[LINE_MAX_SIZE];
    const size_t room = sizeof(line) - SUPPRESSED_ROOM;
    struct timespec now = {0};
    uint64_t suppressed = 0;
    bool is_due;
    va_list args;
    size_t size;
    ssize_t put;

    ensure(level >= LOG_ERROR && level <= LOG_DEBUG);
    (void)clock_gettime(CLOCK_REALTIME, &now); /* this clock always exists */
    (void)pthread_mutex_lock(&logger.mutex);
    is_due =
        level <= logger.level && take_budget(event, now.tv_sec, &suppressed);
    (void)pthread_mutex_unlock(&logger.mutex);
    if (!is_due) {
        return;
    }
    size = put_head(line, room, &now, level, event);
    va_start(args, format);
    size +=
        written(vsnprintf(line + size, room - size, format, args), room - size);
    va_end(args);
    mask_controls(line, size);
    if (suppressed > 0) {
        size += written(snprintf(line + size, sizeof(line) - size,
                                 " suppressed=%llu",
                                 (unsigned long long)suppressed),
                        sizeof(line) - size);
    }
    while (size > 0 && line[size - 1] == ' ') {
        size--;
    }
    line[size] = '\n';
    /* Where a log line cannot be written there is nobody to tell. */
    put = write(STDERR_FILENO, line, size + 1);
    (void)put;
}
