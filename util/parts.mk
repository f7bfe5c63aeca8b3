# Called by util/fuzz, util/bench-rules and util/sim: $(OUT)/parts.a, layers 0
# to 2 and nginx's core without its main(), compiled by $(CC) with $(CFLAGS),
# and $(GRAY) for layers 0 to 2 alone.  SRC is a tree of nginx that is
# configured, NAMES are the files of the layers; what $(PROGRAMS) need is linked
# to it, from DIR/NAME.c each, and from $(MORE), which are objects.  Without
# CORE there is nothing of nginx in it.

INCS = -I. -It/differential -I$(SRC)/src/core -I$(SRC)/src/event \
	-I$(SRC)/src/event/modules -I$(SRC)/src/os/unix -I$(SRC)/objs

LIBS = -lpcre2-8 -lcjson -lmaxminddb -lcrypt -lpthread -ldl

CORE = $(patsubst $(SRC)/objs/%.o,$(OUT)/%.o,\
	$(shell find $(SRC)/objs -name '*.o'))
OBJS = $(patsubst %,$(OUT)/ngx_http_gray_%.o,$(NAMES))

$(shell mkdir -p $(OUT) $(dir $(CORE)))

all: $(patsubst %,$(OUT)/%,$(PROGRAMS))

.SECONDARY: $(patsubst %,$(OUT)/%.o,$(PROGRAMS))

$(OUT)/ngx_http_gray_%.o: ngx_http_gray_%.c util/parts.mk
	$(CC) $(CFLAGS) $(GRAY) $(INCS) -MMD -c -o $@ $<

$(OUT)/src/core/nginx.o: $(SRC)/src/core/nginx.c
	$(CC) $(CFLAGS) $(INCS) -Dmain=nginx_main -w -c -o $@ $<

$(OUT)/src/%.o: $(SRC)/src/%.c
	$(CC) $(CFLAGS) $(INCS) -w -c -o $@ $<

$(OUT)/ngx_modules.o: $(SRC)/objs/ngx_modules.c
	$(CC) $(CFLAGS) $(INCS) -w -c -o $@ $<

$(OUT)/parts.a: $(CORE) $(OBJS)
	rm -f $@
	ar rcs $@ $^

$(OUT)/%.o: $(DIR)/%.c util/parts.mk
	$(CC) $(CFLAGS) $(GRAY) $(INCS) -Wall -Wextra -Wno-unused-parameter \
		-MMD -c -o $@ $<

$(OUT)/%: $(OUT)/%.o $(MORE) $(OUT)/parts.a
	$(CC) $(CFLAGS) $(LINK) -o $@ $^ $(LIBS) -lm

-include $(wildcard $(OUT)/*.d)
