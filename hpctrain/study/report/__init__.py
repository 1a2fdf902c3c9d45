"""The report of a scaling study: pages, tables and figures, and a paragraph of plain words for a proposal."""
