# Files embedded in the program. The console's page: tools/embed.c turns files into C arrays. The guide model: cli/guide.c takes it in with
# .incbin when models/guide.gguf is there (WITH_GUIDE=no leaves it out).
$(OUT)/tool/embed: tools/embed.c | packages
	@mkdir -p $(@D) && gcc -O1 -std=gnu17 -Wall -Wextra -o $@ $<
PAGE_FILES := $(sort $(wildcard src/console/page/*))
$(OUT)/gen/page.h: $(OUT)/tool/embed $(PAGE_FILES)
	@mkdir -p $(@D) && $< page_files $(PAGE_FILES) > $@
WITH_GUIDE ?= yes
GUIDE := $(if $(filter yes,$(WITH_GUIDE)),$(wildcard models/guide.gguf))
FLAGS_cli := -DGUIDE_FILE='"$(or $(GUIDE),$(OUT)/gen/no-guide)"'
# The stamp changes with the choice, so that one build folder never mixes both.
$(shell mkdir -p $(OUT)/gen && : > $(OUT)/gen/no-guide && echo "$(GUIDE)" | cmp -s - $(OUT)/gen/guide.stamp || echo "$(GUIDE)" > $(OUT)/gen/guide.stamp)
$(OUT)/obj/cli/guide.o: $(GUIDE) $(OUT)/gen/guide.stamp
