# The ledger's schema as C strings, for ledger/schema.c.
$(OUT)/gen/ledger_%.h: src/ledger/%.sql
	@mkdir -p $(@D) && sed -e 's/--.*//' -e 's/[[:space:]]*$$//' -e '/^$$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@
$(OUT)/obj/ledger/schema.o: $(OUT)/gen/ledger_schema.h $(OUT)/gen/ledger_schema_3.h $(OUT)/gen/ledger_schema_5.h $(OUT)/gen/ledger_schema_6.h $(OUT)/gen/ledger_schema_7.h $(OUT)/gen/ledger_schema_8.h $(OUT)/gen/ledger_schema_9.h $(OUT)/gen/ledger_schema_10.h $(OUT)/gen/ledger_schema_11.h $(OUT)/gen/ledger_schema_12.h
