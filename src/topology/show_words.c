/* SPDX-License-Identifier: BSD-3-Clause */
/* What the graph alone tells about a machine that is not as it could be, whatever its source: in
 * words for who can change it.  Each remark says what was seen, what follows, what to look at. */
#include "topology/show.h"

#include "base/status.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LIST = 100,                     /* bytes of a list of devices */
       ROOM = 16 };                    /* remarks; more where there is memory */

__attribute__((format(printf, 2, 3)))
static void remark(struct show *s, const char *format, ...)
{
    va_list arguments;

    if (s->nremarks == s->room_remarks) {
        int room = s->room_remarks * 2;
        struct topology_note *larger = realloc(s->remarks, (size_t)room * sizeof *larger);

        if (!larger)
            return;
        s->remarks = larger;
        s->room_remarks = room;
    }
    s->remarks[s->nremarks].missing = true;
    va_start(arguments, format);
    vsnprintf(s->remarks[s->nremarks].text, sizeof s->remarks->text, format, arguments);
    va_end(arguments);
    s->nremarks++;
}

/* ---- Lists of devices -------------------------------------------------------------------- */

static const struct topology_node *device(const struct show *s, int i)
{
    return &s->host.nodes[s->devices[i]];
}

/* "GPU 0-3, 5" of the devices from `first` on, `n` of them, that are marked; empty: none. */
static bool name_marked(const struct show *s, const bool *marked, bool gpus, char text[LIST])
{
    int numbers[SHOW_DEVICES_MOST], n = 0, from = gpus ? 0 : s->ngpus;

    for (int i = from; i < (gpus ? s->ngpus : s->ngpus + s->nports); i++)
        if (marked[i])
            numbers[n++] = gpus && device(s, i)->number >= 0 ? device(s, i)->number : i - from;
    snprintf(text, LIST, gpus ? "GPU " : "NIC ");
    show_numbers(numbers, n, text + 4, LIST - 4);
    return n > 0;
}

static bool same_make(const struct topology_node *a, const struct topology_node *b)
{
    return a->kind == b->kind && a->pci_vendor == b->pci_vendor && a->pci_device == b->pci_device &&
           a->capability == b->capability && !strcmp(a->model, b->model);
}

/* ---- NVLink and XGMI --------------------------------------------------------------------- */

/* The products that have NVLink or XGMI when they come as modules, by compute capability. */
static bool may_have_nvlink(const struct topology_node *gpu)
{
    return gpu->capability == 60 || gpu->capability == 70 || gpu->capability == 80 ||
           gpu->capability == 90 || gpu->capability == 100 || gpu->capability == 103;
}

static bool has_xgmi(const struct topology *t, int gpu)
{
    for (int i = t->first[gpu]; i < t->first[gpu + 1]; i++)
        if (t->links[t->incident[i]].medium == MEDIUM_XGMI)
            return true;
    return false;
}

/* Half of the dies of an MI250 have a link less than the other half; that is how they are made. */
static void look_at_lanes(struct show *s, int gpu, const int *lanes)
{
    bool xgmi = has_xgmi(&s->host, s->devices[gpu]);
    int most = 0, same = 0, more = 0;

    for (int k = 0; k < s->ngpus; k++) {
        if (!same_make(device(s, gpu), device(s, k)))
            continue;
        same++;
        more += lanes[k] > lanes[gpu];
        most = lanes[k] > most ? lanes[k] : most;
    }
    if (most > lanes[gpu] && (!xgmi || more * 2 > same))
        remark(s, "GPU %d has %d %s where others have %d: a link may be down, and every ring over "
               "it pays for that (%s)",
               device(s, gpu)->number, lanes[gpu], xgmi ? "XGMI links" : "NVLinks", most,
               xgmi ? "rocm-smi --showtopo" : "nvidia-smi nvlink -s");
}

static void look_at_fast_links(struct show *s)
{
    int lanes[SHOW_DEVICES_MOST], with = 0, able = 0;
    bool none[SHOW_DEVICES_MOST] = { false };
    double bandwidth;
    char list[LIST];

    for (int i = 0; i < s->ngpus; i++) {
        lanes[i] = show_fast_links(&s->host, s->devices[i], &bandwidth);
        none[i] = !lanes[i];
        with += lanes[i] > 0;
        able += may_have_nvlink(device(s, i));
    }
    if (!with && s->ngpus > 1 && able == s->ngpus)
        remark(s, "no NVLinks are listed, though GPUs of this kind can have them: if these are SXM "
               "modules, ask on the machine itself; files made for NCCL_TOPO_FILE often leave "
               "NVLinks to be found at run time");
    if (with && name_marked(s, none, true, list))
        remark(s, "%s: no NVLink, while other GPUs have; all their bytes go over PCI, outside of "
               "the fast rings: look at nvidia-smi nvlink -s, the bridges, the fabric manager", list);
    for (int i = 0; i < s->ngpus; i++)
        if (lanes[i])
            look_at_lanes(s, i, lanes);
}

/* ---- PCI --------------------------------------------------------------------------------- */

static bool below_switch(const struct topology *t, int node)
{
    while ((node = t->nodes[node].parent) >= 0)
        if (t->nodes[node].kind == TOPOLOGY_SWITCH)
            return true;
    return false;
}

static void look_at_switches(struct show *s)
{
    int below = 0;

    /* A reader that sees that it is in a virtual machine has said so. */
    for (int i = 0; i < s->host.nnotes; i++)
        if (strstr(s->host.notes[i].text, "no PCI switches"))
            return;
    for (int i = 0; i < s->ngpus; i++)
        below += below_switch(&s->host, s->devices[i]);
    if (s->ngpus > 4 && !below && s->nports)
        remark(s, "%d GPUs and not one PCI switch: each has a slot of the CPU, or a virtual "
               "machine hides the switches. If it is one, which NIC is near which GPU is a guess: "
               "give the machine's true file in PEAL_TOPO_FILE", s->ngpus);
    else if (s->ngpus > 4 && !below)
        remark(s, "%d GPUs and not one PCI switch: each has a slot of the CPU, or a virtual "
               "machine hides the switches; PEAL_TOPO_FILE takes the machine's true file", s->ngpus);
}

/* Links of GPUs that are narrower or slower than those of the same product beside them. */
static void look_at_widths(struct show *s)
{
    const struct topology *t = &s->host;

    for (int i = 0; i < s->ngpus; i++) {
        int mine = show_uplink(t, s->devices[i]), best = mine;

        if (mine < 0 || t->links[mine].medium != MEDIUM_PCI)
            continue;
        for (int k = 0; k < s->ngpus; k++) {
            int other = same_make(device(s, i), device(s, k)) ? show_uplink(t, s->devices[k]) : -1;

            if (other >= 0 && t->links[other].medium == MEDIUM_PCI &&
                t->links[other].bandwidth > t->links[best].bandwidth)
                best = other;
        }
        if (t->links[mine].bandwidth > t->links[best].bandwidth * 0.9)
            continue;
        if (t->links[mine].lanes < t->links[best].lanes)
            remark(s, "GPU %d: PCI x%d, %.3g GB/s, where others have x%d, %.3g GB/s: the card's "
                   "seat, its riser, or lanes shared in the BIOS",
                   device(s, i)->number, t->links[mine].lanes, t->links[mine].bandwidth,
                   t->links[best].lanes, t->links[best].bandwidth);
        else
            remark(s, "GPU %d: PCI at %.3g GB/s where others have %.3g: a lower generation was "
                   "negotiated, or the GPU was idle and saved power (look again under load)",
                   device(s, i)->number, t->links[mine].bandwidth, t->links[best].bandwidth);
    }
}

static void look_at_port_widths(struct show *s)
{
    const struct topology *t = &s->host;

    for (int i = s->ngpus; i < s->ngpus + s->nports; i++) {
        int nic = device(s, i)->parent, link = nic < 0 ? -1 : show_uplink(t, nic);

        /* Slower ones are not for GPUs; often their speed is a guess. */
        if (link >= 0 && device(s, i)->speed >= 10 &&
            device(s, i)->speed > t->links[link].bandwidth * 1.1)
            remark(s, "NIC %d (%s): the port does %.3g GB/s, its PCI link only %.3g: a slot with "
                   "more lanes or a later generation would use all of it",
                   i - s->ngpus, device(s, i)->name, device(s, i)->speed, t->links[link].bandwidth);
    }
}

/* ---- NICs -------------------------------------------------------------------------------- */

static bool has_address(const struct show *s, int port)
{
    return s->host.nodes[device(s, port)->parent].bus != TOPOLOGY_NO_BUS;
}

/* Bridges and tunnels run over other ports.  Some sources name no addresses: all of theirs are real. */
static bool is_virtual(const struct show *s, int port)
{
    bool addresses = false;

    for (int k = s->ngpus; k < s->ngpus + s->nports; k++)
        addresses |= has_address(s, k);
    return addresses && !has_address(s, port);
}

/* Ports worth sending GPU data over are at least half as fast as the fastest. */
static double fast_speed(const struct show *s)
{
    double most = 0;

    for (int k = s->ngpus; k < s->ngpus + s->nports; k++)
        if (!is_virtual(s, k) && device(s, k)->speed > most)
            most = device(s, k)->speed;
    return most / 2;
}

static bool is_fast(const struct show *s, int port, double fast)
{
    return device(s, port)->speed >= fast && !is_virtual(s, port);
}

static bool other_socket(const struct show *s, int i, int k)
{
    return show_path(s, i, k)->class >= CLASS_SYS;
}

static void look_at_sockets(struct show *s)
{
    bool gpu_far[SHOW_DEVICES_MOST] = { false }, port_far[SHOW_DEVICES_MOST] = { false };
    double fast = fast_speed(s);
    bool ports = false;
    char list[LIST];

    for (int i = 0; i < s->ngpus; i++) {
        gpu_far[i] = true;
        for (int k = s->ngpus; k < s->ngpus + s->nports; k++)
            if (is_fast(s, k, fast)) {
                ports = true;
                gpu_far[i] = gpu_far[i] && other_socket(s, i, k);
            }
    }
    for (int k = s->ngpus; k < s->ngpus + s->nports; k++) {
        port_far[k] = s->ngpus > 0 && is_fast(s, k, fast);
        for (int i = 0; i < s->ngpus; i++)
            port_far[k] = port_far[k] && other_socket(s, i, k);
    }
    if (!ports)
        return;
    if (name_marked(s, gpu_far, true, list))
        remark(s, "%s: no fast NIC on the same socket; what they send to other hosts crosses the "
               "link between sockets, and shares it with all else there", list);
    if (name_marked(s, port_far, false, list))
        remark(s, "%s: no GPU on the same socket: the wrong slot, if it is meant for GPUs", list);
}

/* Sockets that have GPUs should have NICs alike. */
static void look_at_balance(struct show *s)
{
    const struct topology *t = &s->host;
    double fast = fast_speed(s);
    int least = -1, most = -1, least_ports = 0, most_ports = 0;

    for (int gpu = 0; gpu < s->ngpus; gpu++) {
        int numa = topology_numa(t, s->devices[gpu]), ports = 0;

        for (int i = s->ngpus; i < s->ngpus + s->nports; i++)
            ports += topology_numa(t, s->devices[i]) == numa && is_fast(s, i, fast);
        if (least < 0 || ports < least_ports)
            least = numa, least_ports = ports;
        if (most < 0 || ports > most_ports)
            most = numa, most_ports = ports;
    }
    /* None at all is look_at_sockets()'s. */
    if (least >= 0 && most >= 0 && least_ports && least_ports * 3 <= most_ports * 2)
        remark(s, "%s has %d fast NIC ports and %s has %d, while both have GPUs: the GPUs of %s "
               "get less of the network",
               t->nodes[least].name, least_ports, t->nodes[most].name, most_ports,
               t->nodes[least].name);
}

static void look_at_ports(struct show *s)
{
    bool none[SHOW_DEVICES_MOST] = { false };
    double fast = fast_speed(s);
    char list[LIST];

    for (int i = s->ngpus; i < s->ngpus + s->nports; i++) {
        double usual = 0;

        none[i] = s->ngpus && device(s, i)->direct == 0 && is_fast(s, i, fast);
        for (int k = s->ngpus; k < s->ngpus + s->nports; k++)
            if (s->host.nodes[device(s, k)->parent].pci_device &&
                same_make(&s->host.nodes[device(s, k)->parent],
                          &s->host.nodes[device(s, i)->parent]) && device(s, k)->speed > usual)
                usual = device(s, k)->speed;
        if (device(s, i)->speed > 0 && device(s, i)->speed < usual * 0.9)
            remark(s, "NIC %d (%s) runs at %.3g GB/s, others of its make at %.3g: its cable, its "
                   "switch port, or a port meant for something else", i - s->ngpus, device(s, i)->name,
                   device(s, i)->speed, usual);
    }
    if (name_marked(s, none, false, list))
        remark(s, "%s: no GPUDirect RDMA; GPU data passes through host memory (nvidia-peermem or "
               "dma-buf, IOMMU and ACS settings)", list);
    if (s->ngpus > 1 && !s->nports)
        remark(s, "no NIC is listed: rings between hosts cannot be planned");
}

/* ---- The rest ---------------------------------------------------------------------------- */

static void look_at_makes(struct show *s)
{
    bool other[SHOW_DEVICES_MOST] = { false };
    char list[LIST];

    for (int i = 1; i < s->ngpus; i++) {
        const struct topology_node *a = device(s, 0), *b = device(s, i);

        /* Not where a source tells of one what it does not tell of the other. */
        other[i] = !same_make(a, b) && ((a->capability && b->capability) ||
                   (a->pci_vendor && b->pci_vendor && a->pci_vendor != b->pci_vendor));
    }
    if (name_marked(s, other, true, list))
        remark(s, "%s: of another make than GPU %d; all ranks go at the pace of the slowest", list,
               device(s, 0)->number);
}

int show_find_remarks(struct show *s)
{
    s->remarks = malloc(ROOM * sizeof *s->remarks);
    if (!s->remarks)
        return status_fail(PEAL_ERR_MEMORY, "no memory for remarks on a topology");
    s->room_remarks = ROOM;
    look_at_fast_links(s);
    look_at_switches(s);
    look_at_widths(s);
    look_at_port_widths(s);
    look_at_sockets(s);
    look_at_balance(s);
    look_at_ports(s);
    look_at_makes(s);
    return PEAL_OK;
}

static int put_notes(const struct topology_note *notes, int n, bool missing, FILE *out)
{
    int put = 0;

    for (int i = 0; i < n; i++)
        if (notes[i].missing == missing) {
            show_printf(out, SHOW_PLAIN, "  * %s\n", notes[i].text);
            put++;
        }
    return put;
}

void show_words(const struct show *s, FILE *out)
{
    const struct topology *t = &s->host;

    fputs("Found:\n", out);
    if (!put_notes(t->notes, t->nnotes, false, out))
        show_printf(out, SHOW_PLAIN, "  * all of it in %s\n", s->source);
    fputs("\nMissing or not as it could be:\n", out);
    if (!(put_notes(t->notes, t->nnotes, true, out) +
          put_notes(s->remarks, s->nremarks, true, out)))
        fputs("  nothing\n", out);
}
