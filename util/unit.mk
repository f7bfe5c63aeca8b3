# Called by util/unit: CORE is the directory of nginx's core, NAMES are the
# files of layers 0 to 2, the targets are $(OUT)/NAME_test.  GRAY are flags for
# the layers alone, LINK more of them to link a program.

OUT = $(CORE)/unit
SRC = $(CORE)/src

SANITIZE = -fsanitize=address,undefined -fno-omit-frame-pointer

# undefined behaviour ends the program where it is ours, not where nginx's

CFLAGS = -g -O1 $(SANITIZE) -fno-sanitize-recover=undefined \
	-Wall -Wextra -Wno-unused-parameter -Werror -DNGX_DEBUG_PALLOC=1 \
	-I. -I$(SRC)/src/core -I$(SRC)/src/event -I$(SRC)/src/event/modules \
	-I$(SRC)/src/os/unix -I$(SRC)/objs -MMD

LIBS = -lcmocka -lpcre2-8 -lcjson -lmaxminddb -lm -lcrypt -lpthread -ldl

OBJS = $(patsubst %,$(OUT)/ngx_http_gray_%.o,$(NAMES))
NGINX = $(shell find $(SRC)/objs -name '*.o' ! -name nginx.o)

# -Wl,--wrap=FN for each __wrap_FN in a file

wrap = $(shell grep -o '__wrap_[A-Za-z0-9_]*' $(1) | sort -u \
	| sed 's/__wrap_/-Wl,--wrap=/')

.SECONDARY:

$(OUT)/ngx_http_gray_%.o: ngx_http_gray_%.c util/unit.mk
	$(CC) $(CFLAGS) $(GRAY) -c -o $@ $<

$(OUT)/%_test.o: t/unit/%_test.c util/unit.mk
	$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/%_test: $(OUT)/%_test.o $(OUT)/libgray.a $(OUT)/libnginx.a
	$(CC) $(SANITIZE) -o $@ $^ $(call wrap,t/unit/$*_test.c) $(LIBS) $(LINK)

# what is compared with t/differential/evaluator.py

$(OUT)/differential.o: t/differential/driver.c util/unit.mk
	$(CC) $(CFLAGS) -It/differential -c -o $@ $<

$(OUT)/differential: $(OUT)/differential.o $(OUT)/libgray.a \
		$(OUT)/libnginx.a
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS) $(LINK)

# what docs/document.schema.json is held against, and unit tests that tell
# what they parse

$(OUT)/schema_%.o: t/schema/%.c util/unit.mk
	$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/schema_driver: $(OUT)/schema_driver.o $(OUT)/libgray.a \
		$(OUT)/libnginx.a
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS) $(LINK)

$(OUT)/%_recorded: $(OUT)/%_test.o $(OUT)/schema_record.o $(OUT)/libgray.a \
		$(OUT)/libnginx.a
	$(CC) $(SANITIZE) -o $@ $^ $(call wrap,t/unit/$*_test.c) \
		$(call wrap,t/schema/record.c) $(LIBS) $(LINK)

$(OUT)/libgray.a: $(OBJS)
	rm -f $@
	ar rcs $@ $^

# nginx without its main()

$(OUT)/libnginx.a: $(NGINX) $(SRC)/objs/src/core/nginx.o
	rm -f $@
	objcopy --redefine-sym main=nginx_main $(SRC)/objs/src/core/nginx.o \
		$(OUT)/nginx.o
	ar rcs $@ $(NGINX) $(OUT)/nginx.o

-include $(wildcard $(OUT)/*.d)
