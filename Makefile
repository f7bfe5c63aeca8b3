# NGINX=VERSION   build for, and test with, that version of nginx, from the
#                 source package that Debian has of it; without it: the
#                 nginx that is installed
# T='FILE ...'    only these tests of t/ or t/unit/
# J=N             so many tests at a time
# FAILPOINTS=1    for "make test": a build with points at which tests have
#                 calls fail and processes killed, without unit tests; those
#                 of t/fault_*.t are skipped without it

# the tests that are run under valgrind: the rest puts nginx under load, or
# starts it hundreds of times

CORE = $(wildcard t/admin_*.t t/conf_accepted.t t/conf_zone.t t/decision_*.t \
	t/live_compile.t t/live_degrade.t t/protocol_*.t t/reload_full.t \
	t/reload_live.t t/reload_module.t t/reload_old.t)

export NGINX T J


help:
	@echo 'make TARGET [NGINX=VERSION] [T="t/FILE.t ..."] [J=N] [FAILPOINTS=1]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /  \1	/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build/VERSION/ngx_http_gray_module.so
	@util/build

install: build ## put the module where nginx looks for modules (DESTDIR=)
	@util/install

demo: ## a release whose traffic moves while you look
	@util/demo

test: ## build; all tests
	@util/test $(if $(filter 1,$(FAILPOINTS)),failpoints)

unit: ## the unit tests alone, with sanitizers
	@util/unit

check: build ## layers, style, exports, docs
	@util/check

asan: ## all tests with nginx and module under ASan and UBSan
	@util/test asan

static: ## nginx with the module in it, and what configure says
	@util/static

valgrind: ## the tests of CORE under valgrind
	@T='$(or $(T),$(CORE))' util/test valgrind

bench: ## instructions and requests a second, beside other ways; scrapes
	@util/bench
	@util/bench-scrape

bench-writes: ## what writes and their journals cost, with bounds
	@util/bench-writes

bench-scrape: ## what a scrape of the metrics costs, with bounds
	@util/bench-scrape

bench-rules: ## what rules cost in instructions, with bounds
	@util/bench-rules

bench-guards: ## what guards cost, a tick and a request, with bounds
	@util/bench-guards

differential: ## N random requests, decided by a slow evaluator, too
	@util/differential --pairs=$(or $(N),1000000) --seed=$(or $(SEED),1) \
		--jobs=$(or $(J),$(shell nproc))

sim: ## thousands of rollouts: the table of docs/statistics.md
	@util/sim

property: ## EVENTS (10000000) random events on rollouts, and what must hold
	@EVENTS=$(or $(EVENTS),10000000) SEED=$(or $(SEED),1) util/property

fuzz: ## the fuzz targets, TIME seconds in all
	@LINES=1 TIME=$(or $(TIME),600) util/fuzz

reliability: ## the table of docs/reliability.md, by t/fault_*.t
	@util/reliability

coverage: ## lines and branches that all tests reach, with bounds
	@util/coverage

torture: ## kills, reloads, upgrades for TIME seconds; no change may be lost
	@TIME=$(or $(TIME),600) util/torture

soak: ## TIME seconds of changes and load; nothing may grow
	@TIME=$(or $(TIME),3600) util/soak

count: ## REQUESTS (1000000) through reloads, kills; counts are right
	@REQUESTS=$(or $(REQUESTS),1000000) util/count

devices: ## how often "device" is right, by others' User-Agents
	@GRAY_DEVICES=1 T=t/device_accuracy.t util/test

clean: ## remove build/
	rm -rf build

.PHONY: help build install demo test unit check asan static valgrind bench \
	bench-writes bench-scrape bench-rules bench-guards differential sim \
	property fuzz reliability coverage torture soak count devices clean
