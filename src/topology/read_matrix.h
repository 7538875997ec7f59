/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the parts of the reader of nvidia-smi topo -m: the text (read_matrix.c), and the graph that
 * could look like it (read_matrix_graph.c). */
#ifndef READ_MATRIX_H
#define READ_MATRIX_H

#include "topology/paths.h"

enum { MATRIX_MOST = 128 };            /* devices */

/* A cell: class and, of NVLinks, how many. */
struct matrix_cell { unsigned char class, lanes; };

struct matrix_device {
    char label[TOPOLOGY_NAME];         /* GPU0, NIC0, mlx5_0 */
    char name[TOPOLOGY_NAME];          /* of the legend: mlx5_0; else the label */
    char cpus[TOPOLOGY_TEXT * 8];      /* "" unknown */
    int  numa;                         /* -1: not known, or several */
    int  gpu;                          /* number, or -1: an adapter */
    int  line;                         /* of its row; 0: none yet */
};

struct matrix {
    int n;
    struct matrix_device devices[MATRIX_MOST];
    struct matrix_cell cells[MATRIX_MOST][MATRIX_MOST];    /* as written, then made symmetric */
};

void matrix_build(struct matrix *m, struct topology *t);

#endif
