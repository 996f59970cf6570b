# Compiler and flags. Warnings are errors. No -march=native: kernels choose their level at run time, folder = ISA level = flags.
CC      := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Werror
OPT_release := -O2 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT     := $(OPT_$(VARIANT))
CFLAGS  ?=
VERSION := $(shell cat VERSION 2>/dev/null || echo 0)
ALL_CFLAGS := -std=gnu17 $(OPT) $(WARN) -fno-math-errno -fno-common -fstack-protector-strong -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -Isrc -I$(OUT)/gen -MMD -MP $(CFLAGS)
SANITIZE := $(filter -fsanitize=%,$(OPT))
comma   := ,
LDFLAGS_ALL := $(filter-out -fsanitize=fuzzer-no-link%,$(SANITIZE)) $(if $(filter fuzz,$(VARIANT)),-fsanitize=address$(comma)undefined) -Wl,--gc-sections $(LDFLAGS)
LIBS    := -levent_core -levent_openssl -ljansson -lsqlite3 -lpq -lcurl -lssl -lcrypto -lutf8proc -lpthread -lm
# Kernels: scalar is the executable specification and is never vectorised; the others are compiled for their level only.
FLAGS_kernel_scalar := -fno-tree-vectorize -ffp-contract=off
# Their unrolled loops take minutes to compile under AddressSanitizer: tests/check puts guard pages around them instead.
FLAGS_vector        := -O3 $(if $(filter asan fuzz,$(VARIANT)),-fno-sanitize=all)
FLAGS_kernel_avx2   := $(FLAGS_vector) -ffp-contract=off -mavx2 -mfma -mf16c
FLAGS_kernel_avx512 := $(FLAGS_vector) -ffp-contract=off -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c
FLAGS_kernel_amx    := $(FLAGS_kernel_avx512) -mamx-tile -mamx-int8 -mamx-bf16
# No fuzz target runs a kernel, and clang takes half an hour for avx512 with its sanitizers. Its shifts by an immediate take an unsigned where gcc's take an int.
ifeq ($(VARIANT),fuzz)
$(foreach l,scalar avx2 avx512 amx,$(eval FLAGS_kernel_$(l) += -fno-sanitize=all -Wno-sign-conversion))
endif
# The sampler's loops over a vocabulary are written to be vectorised, and give the same bits everywhere.
FLAGS_sample        := -O3 -ffp-contract=off -fno-trapping-math
# clang does not know prefer-vector-width and leaves such a target out: the loops stay as they are.
ifeq ($(VARIANT),fuzz)
FLAGS_sample        += -Wno-ignored-attributes
endif
