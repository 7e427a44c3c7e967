"""Commands for people: nothing that gpbackup and gprestore call imports them."""
