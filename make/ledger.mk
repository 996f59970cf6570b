# The ledger's schema as a C string, for ledger/schema.c.
$(OUT)/gen/ledger_schema.h: src/ledger/schema.sql
	@mkdir -p $(@D) && sed -e 's/--.*//' -e 's/[[:space:]]*$$//' -e '/^$$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@
$(OUT)/obj/ledger/schema.o: $(OUT)/gen/ledger_schema.h
