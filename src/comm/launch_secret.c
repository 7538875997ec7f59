/* SPDX-License-Identifier: BSD-3-Clause */
/* The job's secret where no launcher carries one.  Its text goes nowhere: not
 * into errors, not into logs; only its hash leaves this file. */
#include "comm/handshake_mac.h"
#include "comm/launch_environment.h"

#include "base/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_LEAST = 16, SECRET_MOST = 4096 };
_Static_assert((int)JOB_SECRET == (int)MAC_BYTES && (int)JOB_SECRET == (int)MAC_SECRET,
               "a digest is a secret");

/* Is the open file fit to hold a secret? */
static int check_file(int fd, const char *path)
{
    struct stat facts;

    if (fstat(fd, &facts) != 0)
        return status_fail(PEAL_ERR_SYSTEM, "PEAL_SECRET_FILE %s: fstat: %m", path);
    if (!S_ISREG(facts.st_mode))
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET_FILE %s is not a regular file", path);
    if (facts.st_uid != geteuid() && facts.st_uid != 0)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET_FILE %s belongs to user %u, not to "
                           "this process's user %u or root: whoever owns it knows the secret",
                           path, (unsigned)facts.st_uid, (unsigned)geteuid());
    if (facts.st_mode & 077)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET_FILE %s has mode %04o: others may use "
                           "it.  chmod 600 %s, and make a new secret", path,
                           (unsigned)facts.st_mode & 07777, path);
    if (facts.st_size < SECRET_LEAST || facts.st_size > SECRET_MOST)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET_FILE %s has %lld bytes, not %d to %d: "
                           "openssl rand -hex 32 > %s", path, (long long)facts.st_size,
                           SECRET_LEAST, SECRET_MOST, path);
    return PEAL_OK;
}

static int read_file(int fd, const char *path, char text[SECRET_MOST], size_t *bytes)
{
    size_t used = 0;
    ssize_t got;

    do {
        got = read(fd, text + used, SECRET_MOST - used);
        if (got > 0)
            used += (size_t)got;
    } while ((got > 0 && used < SECRET_MOST) || (got < 0 && errno == EINTR));
    if (got < 0)
        return status_fail(PEAL_ERR_SYSTEM, "PEAL_SECRET_FILE %s: read: %m", path);
    /* As $(cat file) does, so that file and variable can hold the same. */
    while (used && text[used - 1] == '\n')
        used--;
    if (used < SECRET_LEAST)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET_FILE %s holds %zu bytes before the end "
                           "of the line; a secret has at least %d", path, used, SECRET_LEAST);
    *bytes = used;
    return PEAL_OK;
}

static int secret_from_file(const char *path, unsigned char secret[JOB_SECRET])
{
    char text[SECRET_MOST];
    size_t bytes = 0;
    int status, fd;

    /* O_NONBLOCK: a FIFO in the file's place must not hold us. */
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return status_fail(PEAL_ERR_LAUNCH, errno == ELOOP
                           ? "PEAL_SECRET_FILE %s is a symbolic link: name the file itself"
                           : "PEAL_SECRET_FILE %s cannot be opened: %m", path);
    status = check_file(fd, path);
    if (status == PEAL_OK)
        status = read_file(fd, path, text, &bytes);
    if (status == PEAL_OK)
        status = mac_digest(text, bytes, secret);
    explicit_bzero(text, sizeof text);
    close(fd);
    return status;
}

int launch_secret(unsigned char secret[JOB_SECRET])
{
    const char *path = setting_text(&launch_settings[LAUNCH_SECRET_FILE], NULL);
    const char *text = setting_text(&launch_settings[LAUNCH_SECRET], NULL);

    if (path)
        return secret_from_file(path, secret);
    if (!text)
        return status_fail(PEAL_ERR_LAUNCH, "the job has no secret, which all ranks need to know "
                           "each other by.  Before starting the ranks: export "
                           "PEAL_SECRET=$(openssl rand -hex 32)   or put one into a file of mode "
                           "0600 that all hosts see and export PEAL_SECRET_FILE=path.  Under "
                           "peal-run, PMIx and PMI none is needed");
    if (strlen(text) < SECRET_LEAST)
        return status_fail(PEAL_ERR_LAUNCH, "PEAL_SECRET has %zu characters, too few to be "
                           "secret; use at least %d: export PEAL_SECRET=$(openssl rand -hex 32)",
                           strlen(text), SECRET_LEAST);
    return mac_digest(text, strlen(text), secret);
}
