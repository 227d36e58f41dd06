# SPDX-License-Identifier: Apache-2.0
# Builds, tests and checks Quorate; `make help` lists the targets.
MAKEFLAGS += --no-builtin-rules --no-print-directory
# One job for each processor, unless the command line says otherwise; a make
# below this one takes part in the same jobs.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc)
endif
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

define HELP
make            priv/quorate (member and command line), priv/libquorate_core.a
make erl        the Erlang application and the Elixir wrapper
make demo       a cluster on this machine, killed and healed before your eyes;
                TLS=1: over TLS; EPMD=0: without the port mapper
make demo-freeze  owners that freeze and wake up, ROUNDS times (20): who writes
                then, and whose writes are taken
make test       every test that must pass
make unit       the unit tests alone
make check      format, ranks, purity, linters, analyzers, sanitized tests
make sim        SEEDS random runs of clusters in virtual time, from SEED on;
                SEED=n alone: that one again, and what of its faults it needs
make sim-mutations  whether the simulator finds known faults of the log
make fuzz       every fuzz target for SECS seconds (T=name: one of them)
make chaos      SECS seconds of everything that goes wrong with five hosts,
                from SEED; takes root
make soak       SECS seconds or MESSAGES messages at full speed; memory stays
make bench      measures, side by side with plain Erlang and Mnesia
make interop    writes docs/interop.md from what its suite sees
make instructions  counts instructions a call, against docs/bench.md
make deps       installs what is missing of Debian's packages
make clean      removes what all of these made

BUILD=dir       where C objects go (default _build/c)
FOLDERS="a b"   folders of c_src that `make unit` compiles and tests
LTO=no          links quickly; the program is a fifth slower
SAN=1           address and undefined-behaviour sanitizers, own objects
DEPS=no         installs no packages
V=1             shows the commands
endef

BUILD ?= _build/c
ERL_ROOT ?= /usr/lib/erlang
SECS ?= 60
SAN ?= 0
LTO ?= yes
# plain, san, fuzz (clang), analyzer: each has its own objects.
MODE ?= $(if $(filter 1,$(SAN)),san,plain)
B := $(BUILD)/$(MODE)
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
endif
Q := $(if $(V),,@)

# --- What there is -----------------------------------------------------------

LAYERS := $(shell sed -n 's/^\([a-z]\+\) \+\([0-9]\).*/\1:\2/p' \
    c_src/layers.txt)
folders_of = $(foreach l,$(filter $(addprefix %:,$1),$(LAYERS)),\
    $(firstword $(subst :, ,$l)))
ALL_FOLDERS := $(call folders_of,0 1 2 3 4 5)
CORE_FOLDERS := $(call folders_of,0 1 2 3)
FOLDERS ?= $(ALL_FOLDERS)

UNKNOWN := $(filter-out $(ALL_FOLDERS),$(FOLDERS))
ifneq ($(UNKNOWN),)
$(error not in c_src/layers.txt: $(UNKNOWN))
endif

# main.c has no place in an archive.
sources = $(foreach f,$1,$(filter-out %/main.c,$(wildcard c_src/$f/*.c)))
objects = $(patsubst %.c,$B/%.o,$1)

SOURCES := $(call sources,$(ALL_FOLDERS))
CORE_OBJECTS := $(call objects,$(call sources,$(CORE_FOLDERS)))
SHELL_OBJECTS := $(filter-out $(CORE_OBJECTS),$(call objects,$(SOURCES)))
MAIN_OBJECT := $B/c_src/cli/main.o

# --- How to compile ----------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
    -Wpointer-arith -Wcast-align=strict -Wcast-qual -Wformat=2 -Wundef -Wvla \
    -Wwrite-strings -Wimplicit-fallthrough -Wswitch-enum -Wduplicated-cond \
    -Wduplicated-branches -Wlogical-op -Werror
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE \
    $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
SANITIZE := -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all

OPTIMIZE_plain := -g -O3 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 \
    -Wnull-dereference -flto -ffat-lto-objects
# The program is optimized as a whole: a call then costs a fifth less. The many
# small programs of the tests are linked from the same objects without that.
WHOLE_plain = \
    $(if $(filter %/quorate:yes,$@:$(LTO)),-flto=auto,-fno-lto)
# -Wnull-dereference sees ghosts in the checks that sanitizers insert.
OPTIMIZE_san := $(SANITIZE) -fsanitize=address,undefined
# The analyzer is for C at -O1; more inlining hides from it what it looks for.
OPTIMIZE_analyzer := -O1 -fanalyzer
OPTIMIZE_fuzz := $(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined
ifeq ($(MODE),fuzz)
# clang knows fewer warnings, and means other things by some of them.
WARNINGS := -Wall -Wextra -Werror
HARDENING :=
endif

CPPFLAGS += -D_GNU_SOURCE -Ic_src -isystem $(ERL_ROOT)/usr/include
CFLAGS := -std=c11 $(OPTIMIZE_$(MODE)) $(WARNINGS) $(HARDENING) $(EXTRA_CFLAGS)
LDFLAGS += $(if $(filter fuzz,$(MODE)),,-pie) -Wl,-z,relro,-z,now \
    -Wl,-z,noexecstack -L$(ERL_ROOT)/usr/lib
LDLIBS := -luv -llmdb -lssl -lcrypto -lei -lpthread -lm

compile = $(Q)$(CC) $(CPPFLAGS) $1 $(CFLAGS) -MMD -MP -c -o $@ $<
archive = $(Q)rm -f $@; $(AR) rcs $@ $(filter %.o,$^)
link = $(Q)$(CC) $(CFLAGS) $(WHOLE_$(MODE)) $(LDFLAGS) $1 -o $@ \
    $(filter %.o,$^) $(filter %.a,$^) $2 $(LDLIBS)

# A list that changes its time only when it changes: what depends on it is
# made anew when a file or a flag comes or goes.
remember = $(Q)mkdir -p $(@D); printf '%s\n' $1 >$@.new; \
    if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.PHONY: FORCE
FORCE:
$B/flags: FORCE
	$(call remember,'$(CC) $(CPPFLAGS) $(CFLAGS)')
$B/link: FORCE
	$(call remember,'$(CC) $(LDFLAGS) $(LDLIBS) $(value WHOLE_$(MODE)) $(LTO)' $(SOURCES))

# --- The program and the core ------------------------------------------------

.PHONY: all erl deps deps-build deps-test deps-check
all: priv/quorate priv/libquorate_core.a

deps deps-check:
	$(Q).ci/deps.sh check
deps-build:
	$(Q).ci/deps.sh build
deps-test:
	$(Q).ci/deps.sh test

$B/c_src/%.o: c_src/%.c $B/flags | deps-build
	@mkdir -p $(@D)
	$(call compile)
$B/libquorate_core.a: $(CORE_OBJECTS) $B/link
	$(archive)
# For programs that need a file or two of it.
$B/libquorate_shell.a: $(SHELL_OBJECTS) $B/link
	$(archive)
$B/quorate: $(MAIN_OBJECT) $(SHELL_OBJECTS) $B/libquorate_core.a $B/link
	$(call link)

# Renamed into place, so that a running member keeps its program. By what is in
# it, since the one that is there may be a later one of another mode.
priv/%: $B/% FORCE
	$(Q)cmp -s $< $@ || { mkdir -p $(@D); cp $< $@.new; mv $@.new $@; }

# rebar3 and Mix call make again; that one must not think it is our child.
outside = env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEPS=no
EBIN := _build/prod/lib/quorate/ebin
erl: all
	$(Q)MIX_ENV=prod $(outside) mix compile

# --- Unit tests --------------------------------------------------------------

UNIT_SOURCES := $(foreach f,$(FOLDERS),$(wildcard test/unit/$f/*_test.c))
UNIT_TESTS := $(patsubst %.c,$B/%,$(UNIT_SOURCES))
UNIT_OBJECTS := $(call objects,$(call sources,$(FOLDERS)) \
    $(wildcard test/lib/*.c) \
    $(filter-out %_test.c,$(foreach f,$(FOLDERS),$(wildcard test/unit/$f/*.c))) \
    $(if $(filter raft,$(FOLDERS)),$(wildcard test/sim/*.c) \
        $(call sources,$(CORE_FOLDERS))))

$B/test/%.o: test/%.c $B/flags | deps-test
	@mkdir -p $(@D)
	$(call compile,-Itest)

# One archive for each choice of folders: a program takes what it refers to.
UNIT_KEY := $(shell cksum <<<'$(sort $(FOLDERS))' | cut -d' ' -f1)
UNIT_ARCHIVE := $B/unit-$(UNIT_KEY).a
$(UNIT_ARCHIVE).list: FORCE
	$(call remember,$(UNIT_OBJECTS))
$(UNIT_ARCHIVE): $(UNIT_OBJECTS) $(UNIT_ARCHIVE).list
	$(archive)
# The simulator takes the place of the C library's functions for files.
SIM_CALLS := $B/test/sim/system/calls.o
$(filter $B/test/unit/raft/%,$(UNIT_TESTS)): $(SIM_CALLS)
$(UNIT_TESTS): %: %.o $(UNIT_ARCHIVE) $B/link
	$(call link,,-lcmocka)

.PHONY: unit
unit: $(UNIT_TESTS)
	$(Q)test/check/unit.sh $(sort $(UNIT_TESTS))

# --- Simulation --------------------------------------------------------------

# SEED alone runs that seed again, and shrinks what fails.
SEEDS ?= $(if $(SEED),1,1000)
SIM_OBJECTS := $(call objects,$(wildcard test/sim/*.c test/sim/program/*.c))
$B/sim/sim: $(SIM_OBJECTS) $(SIM_CALLS) $B/libquorate_shell.a \
    $B/libquorate_core.a $B/link
	@mkdir -p $(@D)
	$(call link)

.PHONY: sim sim-mutations
sim: deps-test $B/sim/sim
	$(Q)$B/sim/sim '$(or $(SEED),0)' '$(SEEDS)'
sim-mutations: deps-test
	$(Q)test/sim/mutations.sh '$B/sim'

# --- Fuzzing -----------------------------------------------------------------

# test/fuzz/NAME_fuzz.c has LLVMFuzzerTestOneInput; test/fuzz/corpus/NAME has
# what it begins with.
FUZZ_NAMES := $(patsubst test/fuzz/%_fuzz.c,%,$(wildcard test/fuzz/*_fuzz.c))
T ?= $(FUZZ_NAMES)
FUZZ_PROGRAMS := $(FUZZ_NAMES:%=$B/fuzz/%)
ifeq ($(MODE),fuzz)
$(FUZZ_PROGRAMS): $B/fuzz/%: $B/test/fuzz/%_fuzz.o $B/libquorate_shell.a \
    $B/libquorate_core.a $B/link
	@mkdir -p $(@D)
	$(call link,-fsanitize=fuzzer)
else
$(FUZZ_PROGRAMS): $B/fuzz/%: $B/test/fuzz/%_fuzz.o $B/test/fuzz/replay.o \
    $B/libquorate_shell.a $B/libquorate_core.a $B/link
	@mkdir -p $(@D)
	$(call link)
endif

.PHONY: fuzz fuzz-programs fuzz-replay
fuzz-programs: $(FUZZ_PROGRAMS)
fuzz: deps-check
	$(Q)$(MAKE) MODE=fuzz fuzz-programs
	$(Q)test/check/fuzz.sh run '$(BUILD)/fuzz' '$(SECS)' $(T)
fuzz-replay: deps-test
	$(Q)$(MAKE) MODE=san fuzz-programs
	$(Q)test/check/fuzz.sh replay '$(BUILD)/san' $(FUZZ_NAMES)

# --- Measurements in C ---------------------------------------------------------

# test/bench/NAME_bench.c measures one part alone.
BENCH_PROGRAMS := $(patsubst test/bench/%.c,$B/bench/%,\
    $(wildcard test/bench/*_bench.c))
$(BENCH_PROGRAMS): $B/bench/%: $B/test/bench/%.o $(SHELL_OBJECTS) \
    $B/libquorate_core.a $B/link
	@mkdir -p $(@D)
	$(call link)

# --- A node for tests ----------------------------------------------------------

# test/peer: the distribution peer alone, with functions for tests.
PEER_SOURCES := $(wildcard test/peer/*.c)
$B/peer/quorate_peer: $(call objects,$(PEER_SOURCES)) $(SHELL_OBJECTS) \
    $B/libquorate_core.a $B/link
	@mkdir -p $(@D)
	$(call link)

# --- Chaos ---------------------------------------------------------------------

CHAOS_PROGRAMS := $B/chaos/preload.so $B/chaos/delay
$B/chaos/preload.so: test/chaos/preload.c $B/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 -O2 $(WARNINGS) -fPIC -shared -o $@ $< -ldl
$B/chaos/delay: $B/test/chaos/delay.o $B/link
	@mkdir -p $(@D)
	$(call link)

# --- Everything that must pass -----------------------------------------------

# They use the same folders: asked for together, they run one after another.
ifneq ($(word 2,$(filter test check demo demo-freeze bench chaos fuzz erl instructions interop,$(MAKECMDGOALS))),)
.NOTPARALLEL:
endif

.PHONY: test check demo soak chaos bench analyzer core
core: $B/libquorate_core.a
analyzer: $(CORE_OBJECTS)
test: deps-test all erl $B/peer/quorate_peer
	$(Q)QUORATE_EBIN='$(CURDIR)/$(EBIN)' MAKE='$(MAKE)' test/check/suites.sh
check: deps-check
	$(Q)MAKE='$(MAKE)' BUILD='$(BUILD)' test/check/run.sh
demo: all erl
	$(Q)TLS='$(TLS)' EPMD='$(EPMD)' QUORATE_EBIN='$(CURDIR)/$(EBIN)' test/demo/run
.PHONY: demo-freeze
demo-freeze: all erl
	$(Q)$(if $(ROUNDS),ROUNDS='$(ROUNDS)') $(if $(PARTS),PARTS='$(PARTS)') \
	    QUORATE_EBIN='$(CURDIR)/$(EBIN)' test/demo/freeze
soak: all erl deps-test
	$(Q)$(if $(filter command line environment,$(origin SECS)),SECS='$(SECS)') \
	    $(if $(MESSAGES),MESSAGES='$(MESSAGES)') \
	    QUORATE_EBIN='$(CURDIR)/$(EBIN)' test/soak/run
chaos: all erl deps-test $(CHAOS_PROGRAMS)
	$(Q)$(if $(filter command line environment,$(origin SECS)),SECS='$(SECS)') \
	    $(if $(SEED),SEED='$(SEED)') OPTIONAL='$(OPTIONAL)' QUORATE_EBIN='$(CURDIR)/$(EBIN)' \
	    QUORATE_CHAOS_PROGRAMS='$(CURDIR)/$B/chaos' test/chaos/run
bench: all erl deps-test $(BENCH_PROGRAMS)
	$(Q)QUORATE_EBIN='$(CURDIR)/$(EBIN)' \
	    QUORATE_BENCH_PROGRAMS='$(CURDIR)/$B/bench' test/bench/run

# docs/interop.md says what its suite sees; a run that sees something else fails.
.PHONY: interop
interop: deps-test all erl $B/peer/quorate_peer
	$(Q)QUORATE_WRITE_INTEROP=1 ONLY=erlang SUITE=interop_SUITE \
	    MAKE='$(MAKE)' test/check/suites.sh

.PHONY: instructions
instructions: all deps-test
	$(Q)test/bench/instructions

.PHONY: clean clean-c help
clean-c:
	$(Q)rm -rf $(BUILD) priv/quorate priv/libquorate_core.a
clean: clean-c
	$(Q)rm -rf _build
help: export HELP := $(HELP)
help:
	@echo "$$HELP"

-include $(patsubst %.o,%.d,$(UNIT_OBJECTS) $(CORE_OBJECTS) $(SHELL_OBJECTS) \
    $(SIM_OBJECTS) $(MAIN_OBJECT) $(UNIT_TESTS:%=%.o) \
    $(call objects,$(wildcard test/fuzz/*.c test/bench/*.c \
    test/peer/*.c)))
