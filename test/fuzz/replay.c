/* SPDX-License-Identifier: Apache-2.0
 * Feeds every file of the folders that are its arguments to a fuzz target, so
 * that inputs which once failed are tested without a fuzzer:
 *     replay FOLDER...
 * prints how many there were and fails if there were none. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A target that must be set up; libFuzzer has the same optional function. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { PATH_SIZE = 4096 };

/* Reads `size` bytes into memory of just that size, so that a sanitizer sees
 * the first byte read past the end. The caller frees. */
static uint8_t *read_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size == 0 ? 1 : size);
    size_t got = 0;

    if (file != NULL && data != NULL) {
        got = fread(data, 1, size, file);
    }
    if (file != NULL) {
        (void)fclose(file); /* it was only read */
    }
    if (file == NULL || got != size) {
        free(data);
        return NULL;
    }
    return data;
}

/* 1 if the file was fed, 0 if it is not a file, -1 if it cannot be read. */
static int feed(const char *path)
{
    struct stat status;
    uint8_t *data;

    if (stat(path, &status) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISREG(status.st_mode)) {
        return 0;
    }
    data = read_file(path, (size_t)status.st_size);
    if (data == NULL) {
        perror(path);
        return -1;
    }
    /* The last line printed names the input if the target aborts. */
    printf("%s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, (size_t)status.st_size);
    free(data);
    return 1;
}

/* The number of files fed, or -1. */
static long feed_folder(const char *folder)
{
    char path[PATH_SIZE];
    struct dirent **entries;
    long fed = 0;
    int count = scandir(folder, &entries, NULL, alphasort);

    if (count < 0) {
        perror(folder);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        int size =
            snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        int rv = size > 0 && size < PATH_SIZE ? feed(path) : -1;

        free(entries[i]);
        fed = rv < 0 || fed < 0 ? -1 : fed + rv;
    }
    free(entries);
    return fed;
}

int main(int argc, char **argv)
{
    long all = 0;

    if (LLVMFuzzerInitialize != NULL) {
        (void)LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        long fed = feed_folder(argv[i]);

        if (fed < 0) {
            return EXIT_FAILURE;
        }
        all += fed;
    }
    printf("%ld inputs\n", all);
    return all > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
