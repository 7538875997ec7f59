/* SPDX-License-Identifier: BSD-3-Clause */
/* What an NCCL file lacks, or says oddly, for people. */
#include "topology/read_nccl.h"

/* What only the machine itself could tell. */
static void tell_guesses(struct nccl_reader *r)
{
    struct topology *t = r->t;
    int gpus = 0;

    for (int i = 0; i < t->nnodes; i++)
        gpus += t->nodes[i].kind == TOPOLOGY_GPU;
    if (!gpus) {
        topology_note(t, true, "no GPU is in this file: NCCL adds those of the machine when it runs; without "
                      "them there are no rings to plan");
        topology_note_guess(t);
    }
    if (r->guessed) {
        topology_note(t, true, "%d devices are told by their address only: those under a CPU, as many "
                      "under each, are taken for GPUs, others for NICs; class= would tell", r->guessed);
        topology_note_guess(t);
    }
    if (r->assumed_gpus) {
        topology_note(t, true, "%d GPUs without <gpu>: no compute capability and no NVLinks known; "
                      "NCCL asks the driver for them when it runs", r->assumed_gpus);
        topology_note_guess(t);
    }
    if (r->assumed_nics) {
        topology_note(t, true, "%d NICs without <net>: one port each, taken to be as fast as its PCI "
                      "link", r->assumed_nics);
        topology_note_guess(t);
    }
    if (r->slow_ports) {
        topology_note(t, true, "%d ports have no speed; 10 Gb/s assumed, as NCCL does",
                      r->slow_ports);
        topology_note_guess(t);
    }
    if (r->untold_speeds) {
        topology_note(t, true, "%d PCI links of GPUs and switches have no speed in the file: 8 GT/s is "
                      "assumed, as NCCL does", r->untold_speeds);
        if (!r->untold_wide)           /* what has a width is the file's, merged too */
            topology_note_guess(t);
    }
    if (r->assumed_speeds) {
        topology_note(t, true, "%d GPUs (%s first) without the speed of their PCI link: that of their "
                      "kind is assumed", r->assumed_speeds, r->first_assumed);
        if (!r->untold_wide)
            topology_note_guess(t);
    }
}

void nccl_tell(struct nccl_reader *r)
{
    struct topology *t = r->t;

    if (r->numaless)
        topology_note(t, true, "NUMA nodes are not told apart (numaid -1 or none), as virtual machines "
                      "hide them");
    tell_guesses(r);
    if (r->loose_ports)
        topology_note(t, true, "%d ports belong to no PCI device: they are virtual, or a virtual machine "
                      "hides it", r->loose_ports);
    if (r->narrow)
        topology_note(t, true, "%d PCI switches and GPUs (%s first) say that their link is slower than "
                      "x16 of generation 3; links that sleep say so too", r->narrow, r->first_narrow);
    if (r->self_links)
        topology_note(t, true, "%d NVLinks lead from a GPU to itself; left out", r->self_links);
    if (r->lost_links)
        topology_note(t, true, "%d NVLinks lead to a device that is not in the file (%s first); left out",
                      r->lost_links, r->first_lost);
    if (r->odd_switches)
        topology_note(t, true, "%d GPUs name other GPUs as NVSwitches; taken as links to one switch "
                      "between them all", r->odd_switches);
    if (r->uneven_links)
        topology_note(t, true, "%d pairs of GPUs do not agree on how many NVLinks join them; the fewer "
                      "are taken", r->uneven_links);
    if (r->unknown)
        topology_note(t, false, "%d elements of other kinds (<%s> first) were passed over", r->unknown,
                      r->first_unknown);
}
