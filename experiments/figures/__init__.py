"""The paper's figures and tables, a file each, and two beyond it: the studies, how they are scored and drawn."""

from experiments.figures import (
    fig1,
    fig1i,
    fig2a,
    fig2b,
    fig2c,
    fig3,
    fig4,
    fig5,
    figA1,
    modern,
    precision,
    table1,
    tableA1,
    tableA2,
)

# In the paper's order.
OF_THE_PAPER = {
    module.__name__.split(".")[-1]: module
    for module in (fig1, fig1i, figA1, fig2a, fig2b, fig2c, fig3, fig4, fig5, table1, tableA1, tableA2)
}
FIGURES = OF_THE_PAPER | {"modern": modern, "precision": precision}
