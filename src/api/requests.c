/* SPDX-License-Identifier: BSD-3-Clause */
#include "api/check.h"

/* A request has ended: what becomes of its handle. */
static void ended(peal_request_t *request)
{
    if (coll_end(*request))
        *request = PEAL_REQUEST_NULL;
}

/* Inline, as that of peal_wait(): what is started again and again is short. */
static inline int check_request(const char *function, peal_request_t *request)
{
    if (request && *request != PEAL_REQUEST_NULL)
        return PEAL_OK;
    if (!request)
        return check_pointer(function, "request", request);
    return status_fail(PEAL_ERR_ARGUMENT, "%s: the request is PEAL_REQUEST_NULL", function);
}

int peal_start(peal_request_t *request)
{
    int status = check_request(__func__, request);

    return status ? status : coll_start(*request);
}

int peal_test(peal_request_t *request, int *done)
{
    int status = check_pointer(__func__, "request", request);
    bool over = true;

    if (!status)
        status = check_pointer(__func__, "done", done);
    if (status)
        return status;
    if (*request != PEAL_REQUEST_NULL) {
        status = coll_test(*request, &over);
        if (over)
            ended(request);
    }
    *done = over;
    return status;
}

__attribute__((hot))
int peal_wait(peal_request_t *request)
{
    int status;

    if (!request)
        return check_pointer(__func__, "request", request);
    if (*request == PEAL_REQUEST_NULL)
        return PEAL_OK;
    status = coll_wait(*request);
    ended(request);
    return status;
}

static int check_array(const char *function, int count, const peal_request_t *requests)
{
    if (count < 0)
        return status_fail(PEAL_ERR_ARGUMENT, "%s: count is %d", function, count);
    return count ? check_pointer(function, "requests", requests) : PEAL_OK;
}

/* Of several failures the first one counts, by its status and by its text. */
struct outcome { int status; char text[STATUS_TEXT]; };

static void note(struct outcome *outcome, int status)
{
    if (!status || outcome->status)
        return;
    outcome->status = status;
    status_keep(outcome->text);
}

__attribute__((hot))
int peal_waitall(int count, peal_request_t requests[])
{
    struct outcome outcome;
    int status = check_array(__func__, count, requests);

    if (status)
        return status;
    outcome.status = PEAL_OK;
    /* Another rank may wait for the communicators in another order. */
    for (int index = 0; !coll_together(requests, count); )
        note(&outcome, peal_waitany(count, requests, &index));
    for (int i = 0; i < count; i++)
        note(&outcome, peal_wait(&requests[i]));
    if (outcome.status)
        status_restore(outcome.text);
    return outcome.status;
}

/* One that has ended: true, with its index and status. */
static bool find_ended(int count, peal_request_t requests[], int *index, int *status)
{
    bool any = false;

    for (int i = 0; i < count; i++) {
        bool over;

        if (requests[i] == PEAL_REQUEST_NULL || !coll_active(requests[i]))
            continue;
        any = true;
        *status = coll_test(requests[i], &over);
        if (over) {
            ended(&requests[i]);
            *index = i;
            return true;
        }
    }
    if (!any)
        *index = PEAL_UNDEFINED;
    return !any;
}

int peal_waitany(int count, peal_request_t requests[], int *index)
{
    int status = check_array(__func__, count, requests);

    if (!status)
        status = check_pointer(__func__, "index", index);
    if (status)
        return status;
    while (!find_ended(count, requests, index, &status))
        coll_wait_some(requests, count);
    return status;
}

int peal_request_free(peal_request_t *request)
{
    int status = check_request(__func__, request);

    if (status)
        return status;
    if (coll_active(*request))
        return status_fail(PEAL_ERR_STATE, "peal_request_free: the request is active; wait for "
                           "it first");
    coll_release(*request);
    *request = PEAL_REQUEST_NULL;
    return PEAL_OK;
}
