# Every folder under src/ is one archive; a program links the archives that it may depend on (the layers of tools/layers.txt, last first).
FOLDERS := base quant kernel format text sample device model bench engine backend db hub ledger net oidc api console cli
LINK_ORDER := cli console api backend bench engine model device kernel sample text hub format quant ledger db oidc net base
folder_src = $(sort $(wildcard src/$(1)/*.c src/$(1)/*/*.c))
folder_obj = $(patsubst src/%.c,$(OUT)/obj/%.o,$(call folder_src,$(1)))
archives   = $(foreach f,$(filter $(1),$(LINK_ORDER)),$(if $(call folder_src,$(f)),$(OUT)/lib/$(f).a))
GENERATED  = $(OUT)/gen/page.h

define folder_rule
$(OUT)/lib/$(1).a: $(call folder_obj,$(1)) ; @mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rule,$(f))))

object_flags = $(FLAGS_$(subst /,_,$(patsubst src/%/,%,$(dir $<))))
$(OUT)/obj/%.o: src/%.c | packages
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(ALL_CFLAGS) $(object_flags) -c -o $@ $<
$(call folder_obj,console): $(GENERATED)

$(OUT)/sluice: $(OUT)/obj/main.o $(call archives,$(FOLDERS))
	@echo "  LD $@"
	@$(CC) -o $@ $< -Wl,--start-group $(call archives,$(FOLDERS)) -Wl,--end-group $(LDFLAGS_ALL) $(LIBS)

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
