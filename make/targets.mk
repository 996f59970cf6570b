.PHONY: all help run test test-postgres check asan tsan fuzz soak chaos power books proxy bench tidy test-clean install clean golden
all: $(OUT)/sluice ## builds build/sluice
run: all ## serves the guide model on http://127.0.0.1:8000 with a demo account
	@$(OUT)/sluice serve --demo
test: packages packages-test packages-page ## every test: tidy, unit, kernels, HTTP, clients, page, crash, guide
	@tests/suites.sh tidy docs unit check programs net+crash hub+operate api guide
check: $(OUT)/check ## every kernel at every level against scalar
	@$(OUT)/check
asan: packages packages-test ## unit and API suites under AddressSanitizer and UndefinedBehaviorSanitizer
	@tests/suites.sh asan-unit asan-check asan-programs asan-hub+asan-operate asan-api
tsan: packages ## scheduler, ledger and server suites under ThreadSanitizer
	@tests/suites.sh tsan-unit
fuzz: packages-fuzz ## every fuzz target for FUZZ_SECONDS (10)
	@tests/suites.sh fuzz
soak: packages packages-test ## SOAK_SECONDS (an hour) of 64 clients and a kill -9 every five minutes, then the verdict
	@$(MAKE) --no-print-directory suite-soak
chaos: packages packages-test ## CHAOS_REQUESTS (a million) metered requests with aborts, engine faults and kill -9 every few seconds
	@$(MAKE) --no-print-directory suite-chaos
power: packages ## the power goes behind every write of a day, in every mood of the disk
	@$(MAKE) --no-print-directory $(OUT)/unit/ledger/test_power && SLUICE_POWER_ALL=1 $(OUT)/unit/ledger/test_power 2>/dev/null
books: packages ## BOOKS_OPERATIONS (100,000) random deeds and requests against the reference ledger
	@$(MAKE) --no-print-directory $(OUT)/unit/ledger/test_books && BOOKS_OPERATIONS=$${BOOKS_OPERATIONS:-100000} $(OUT)/unit/ledger/test_books 2>/dev/null
proxy: packages packages-proxy packages-test ## the raw HTTP requests through nginx and haproxy (installs them)
	@$(MAKE) --no-print-directory suite-proxy
bench: all $(OUT)/bench/matmul ## the machine's limits, products, a small model's steps; bench/ and sluice bench have more
	@$(OUT)/sluice bench roofline && $(OUT)/bench/matmul --n 8 && $(OUT)/sluice bench model guide --prefill 128,512 --depth 0 --streams 1,4,16
test-postgres: packages packages-test packages-postgres ## the ledger on PostgreSQL, several nodes on one ledger (installs it)
	@tests/suites.sh postgres
tidy: ## layers and style
	@tests/suites.sh tidy
test-clean: packages-clean ## the two commands in a fresh clone on a clean Debian (needs root)
	@tests/clean/clean.sh $(SUITES)
install: all ## installs program, systemd unit and documents into PREFIX (/usr/local)
	install -D -m 0755 $(OUT)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/doc/sluice
	sed 's|/usr/local/|$(PREFIX)/|g' packaging/sluice.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/sluice.service
	chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/sluice.service
	cp -r docs/. $(DESTDIR)$(PREFIX)/share/doc/sluice/
clean: ## removes what was built
	rm -rf $(BUILD)
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*##' make/*.mk | sed -E 's/:.*## */\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
