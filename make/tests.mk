# Unit tests: tests/unit/FOLDER/test_NAME.c is one program that may link FOLDER and what FOLDER may include.
# tests/check: kernels against scalar. tests/fuzz/fuzz_NAME.c: libFuzzer targets. tests/SUITE/run.sh: black-box suites.
USES_base    := base
USES_quant   := base quant
USES_db      := base db
USES_net     := base net
USES_kernel  := base quant kernel
USES_format  := base quant format
USES_text    := base quant format text
USES_sample  := base quant format text sample
USES_device  := base quant kernel device
USES_model   := base quant kernel format device model
USES_bench   := base quant kernel format text net device model bench
USES_engine  := base quant kernel format text sample device model engine
USES_backend := $(USES_engine) net backend
USES_hub     := base quant format net db hub
USES_ledger  := base db ledger
USES_oidc    := base net oidc
USES_api     := $(FOLDERS)
USES_console := $(FOLDERS)
USES_cli     := $(FOLDERS)

link = $(CC) $(ALL_CFLAGS) -Itests $(3) -o $(1) $(2) -Wl,--start-group $(4) -Wl,--end-group $(LDFLAGS_ALL) $(LIBS)

# Programs whose calls of these functions go to their own __wrap_NAME.
WRAP_test_credit := clock_now_us
WRAP_test_reservation := clock_now_us
WRAP_test_deed := clock_now_us
WRAP_test_business := clock_now_us
WRAP_test_books := clock_now_us
WRAP_test_price  := clock_now_us
WRAP_test_job := clock_now_us
WRAP_test_publisher := clock_now_us
WRAP_test_power := clock_now_us
WRAP_test_no_memory := mem_new mem_array mem_resize mem_str mem_must mem_free mem_pages mem_pages_free
wrapped = $(addprefix -Wl$(comma)--wrap=,$(WRAP_$(notdir $(1))))

UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(sort $(wildcard tests/unit/*/test_*.c)))
define unit_rule
$(OUT)/unit/$(1)/%: tests/unit/$(1)/%.c tests/test.h $(call archives,$(USES_$(1))) | packages
	@mkdir -p $$(@D) && echo "  TEST $$@" && $$(call link,$$@,$$<,$$(call wrapped,$$@),$(call archives,$(USES_$(1))))
endef
$(foreach f,$(FOLDERS),$(eval $(call unit_rule,$(f))))

# make unit-FOLDER builds and runs one folder's unit tests.
unit-%: ; @$(MAKE) --no-print-directory $(filter $(OUT)/unit/$*/%,$(UNIT)) && tests/run_unit.sh $(filter $(OUT)/unit/$*/%,$(UNIT))

# Kernels against the scalar specification, and planted mutants that must be caught. The sources of avx512 and amx are compiled once more over plain C
# intrinsics (under the names that rename.h gives them), so that they are checked on every CPU.
CHECK_SRC := $(sort $(wildcard tests/check/*.c))
CHECK_EMU := $(patsubst src/kernel/%.c,$(OUT)/check_obj/%.o,$(wildcard src/kernel/avx512/*.c src/kernel/amx/*.c))
$(OUT)/check_obj/rename.h: src/kernel/kernel.def
	@mkdir -p $(@D) && sed -n 's/^KERNEL(\([a-z0-9_]*\), [^,]*, *\(avx512\|amx\),.*/#define \1_\2 \1_\2_emulated/p' $< > $@
$(OUT)/check_obj/%.o: src/kernel/%.c tests/check/avx512_emulated.h tests/check/amx_emulated.h $(OUT)/check_obj/rename.h $(wildcard src/kernel/*.h src/kernel/avx512/*.h src/kernel/amx/*.h) | packages
	@mkdir -p $(@D) && echo "  CC $< (emulated)" && $(CC) $(ALL_CFLAGS) $(filter -fno-sanitize%,$(FLAGS_vector)) -ffp-contract=off -include $(OUT)/check_obj/rename.h -include tests/check/amx_emulated.h -c -o $@ $<
$(OUT)/check: $(CHECK_SRC) $(wildcard tests/check/*.h) tests/test.h src/kernel/kernel.def $(CHECK_EMU) $(call archives,$(USES_device)) | packages
	@mkdir -p $(@D) && echo "  TEST $@" && $(call link,$@,$(CHECK_SRC) $(CHECK_EMU),,$(call archives,$(USES_device)))

BENCH := $(patsubst bench/%.c,$(OUT)/bench/%,$(filter-out bench/shapes.c,$(sort $(wildcard bench/*.c))))
$(OUT)/bench/%: bench/%.c $(call archives,$(FOLDERS)) | packages
	@mkdir -p $(@D) && echo "  BENCH $@" && $(call link,$@,$<,,$(call archives,$(FOLDERS)))

# A model of a real one's shape with random weights.
$(OUT)/tool/shapes: bench/shapes.c $(call archives,$(USES_format)) | packages
	@mkdir -p $(@D) && $(call link,$@,$<,,$(call archives,$(USES_format)))

$(OUT)/tool/tinymodel: tools/tinymodel.c tools/tiny.h $(call archives,$(USES_format)) | packages
	@mkdir -p $(@D) && $(call link,$@,$<,,$(call archives,$(USES_format)))

FUZZ := $(patsubst tests/fuzz/%.c,$(OUT)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
$(OUT)/fuzz/%: tests/fuzz/%.c $(call archives,$(FOLDERS)) | packages
	@mkdir -p $(@D) && echo "  FUZZ $@" && $(call link,$@,$<,-fsanitize=fuzzer,$(call archives,$(FOLDERS)))
fuzz-programs: $(FUZZ)

# The suites that `make test` and its sisters run; each closes with "N passed, N failed, N skipped".
TIDY_FILES = $(shell git ls-files --cached --others --exclude-standard 'src/*.[ch]' 'src/*.def' 'tools/*.c' 'tests/*.[ch]' 'bench/*.c')
$(OUT)/tool/tidy: tools/tidy.c | packages
	@mkdir -p $(@D) && gcc -O1 -std=gnu17 -Wall -Wextra -o $@ $<
.PHONY: fuzz-programs unit-programs
unit-programs: $(UNIT) $(OUT)/tool/tinymodel
FUZZ_SECONDS ?= 10

suite-tidy: $(OUT)/tool/tidy
	@$< tools/layers.txt $(TIDY_FILES) && python3 tests/tidy/planted.py $<
suite-unit: ; @$(MAKE) --no-print-directory unit-programs && tests/run_unit.sh $(UNIT)
suite-check: $(OUT)/check ; @$<
suite-docs: ; @tests/docs/run.sh
$(OUT)/net/echo_server: tests/net/echo_server.c $(call archives,$(USES_net)) | packages
	@mkdir -p $(@D) && $(call link,$@,$<,,$(call archives,$(USES_net)))
# What black-box suites run, built before two of them run side by side.
suite-programs: $(OUT)/sluice $(OUT)/tool/tinymodel $(OUT)/test/fake_server $(OUT)/test/load_server $(OUT)/test/load_client $(OUT)/net/echo_server ; @echo "0 passed, 0 failed, 0 skipped"
suite-proxy: $(OUT)/net/echo_server ; @python3 tests/net/proxy.py $(OUT)/net/echo_server
suite-net: $(OUT)/net/echo_server ; @OUT=$(OUT) tests/net/run.sh
$(OUT)/test/fake_server: tests/api/fake_server.c $(call archives,$(FOLDERS)) | packages
	@mkdir -p $(@D) && echo "  TEST $@" && $(call link,$@,$<,,$(call archives,$(FOLDERS)))
# tests/load: a load generator, and the server over a fake backend whose calls of the ledger can be cut out, to measure what they cost.
WRAP_load_server := ledger_hold ledger_hold_more ledger_journal ledger_finish ledger_rate_levels
$(OUT)/test/load_server: tests/load/server.c tests/load/fake.c tests/load/fake.h $(call archives,$(FOLDERS)) | packages
	@mkdir -p $(@D) && echo "  TEST $@" && $(call link,$@,$(filter %.c,$^),$(call wrapped,$@),$(call archives,$(FOLDERS)))
$(OUT)/test/load_client: tests/load/client.c $(call archives,base) | packages
	@mkdir -p $(@D) && echo "  TEST $@" && $(call link,$@,$<,,$(call archives,base))
suite-api: $(OUT)/test/fake_server $(OUT)/tool/tinymodel
suite-hub: $(OUT)/tool/tinymodel
suite-api suite-crash suite-guide suite-hub suite-operate: suite-%: $(OUT)/sluice
	@SLUICE=$(OUT)/sluice OUT=$(OUT) tests/$*/run.sh
suite-crash suite-operate: $(OUT)/tool/tinymodel
suite-crash: $(OUT)/test/fake_server
# The ledger on PostgreSQL: the unit tests that ask the ledger, and nodes.
POSTGRES_UNIT := $(patsubst %,$(OUT)/unit/ledger/test_%,hold budget grant credit deed rate price key nodes heal)
suite-postgres: $(OUT)/sluice $(OUT)/test/fake_server $(POSTGRES_UNIT)
	@SLUICE=$(OUT)/sluice OUT=$(OUT) tests/postgres/run.sh
suite-crash suite-chaos: $(OUT)/test/load_server $(OUT)/test/load_client
CHAOS_REQUESTS ?= 1000000
suite-chaos: $(OUT)/sluice
	@python3 tests/chaos/chaos.py $(OUT) --requests $(CHAOS_REQUESTS) $(CHAOS_FLAGS)
# SOAK_SECONDS says how long; the progress is shown as it comes, build/soak gets the figures.
SOAK_SECONDS ?= 3600
suite-soak: $(OUT)/sluice $(OUT)/tool/tinymodel
	@python3 tests/soak/soak.py $(OUT)/sluice --seconds $(SOAK_SECONDS) --out $(OUT)/soak --tinymodel $(OUT)/tool/tinymodel $(SOAK_FLAGS)
suite-asan-unit: ; @$(MAKE) --no-print-directory VARIANT=asan suite-unit
suite-asan-check: ; @$(MAKE) --no-print-directory VARIANT=asan suite-check
suite-asan-programs: ; @$(MAKE) --no-print-directory VARIANT=asan suite-programs
suite-asan-hub: ; @$(MAKE) --no-print-directory VARIANT=asan suite-hub
suite-asan-api: ; @$(MAKE) --no-print-directory VARIANT=asan suite-api
suite-asan-operate: ; @TESTS="shelf drain backup canary" $(MAKE) --no-print-directory VARIANT=asan suite-operate
# Not the simulations, which have no threads, and not the thousand looks at one day of the ledger.
TSAN_UNIT = $(filter-out %/test_sim %/test_pledge %/test_power,$(filter $(foreach f,base net ledger engine backend device,$(OUT)/unit/$(f)/%),$(UNIT)))
suite-tsan-unit: ; @$(MAKE) --no-print-directory VARIANT=tsan tsan-unit-run
tsan-unit-run: ; @$(MAKE) --no-print-directory $(TSAN_UNIT) $(OUT)/tool/tinymodel && tests/run_unit.sh $(TSAN_UNIT)
suite-fuzz: ; @$(MAKE) --no-print-directory VARIANT=fuzz fuzz-programs && tests/fuzz/run.sh $(BUILD)/fuzz/fuzz $(FUZZ_SECONDS)

# What a test program includes beside its own source.
-include $(wildcard $(foreach d,unit/*/ tool/ bench/ fuzz/ test/ net/,$(OUT)/$(d)*.d))
