#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# In the log phase nothing is decided, neither in that of a subrequest, which
# comes while the request goes on, nor for a module that runs before the logs.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

# each subrequest is over, and is logged, before its request asks

my $text = <<'END';
http {
    gray_zone gray 1m;

    log_format app   '$uri [$gray_app] [$gray_app_reason] [$mapped]'
                     ' [$gray_decisions]';
    log_format found '[$gray_app_rule] [$gray_app_bucket]'
                     ' [$gray_app_upstream] [$gray_sw_rule] [$gray_sw_bucket]'
                     ' [$gray_sw_upstream]';
    access_log off;

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    map $gray_app $mapped { canary new; default old; }

    # the key is there only when the request has got it

    gray_release app {
        zone gray;
        hash $user $upstream_http_x_user;
        variant stable v1;
        variant canary v2 weight=100%;
        match stable $arg_rule = 1 name=named;
    }

    gray_release sw {
        zone gray;
        hash $arg_uid;
        variant off;
        variant on;
        match on $arg_rule = 2;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;

        access_log %%DIR%%/access.log app;
        log_subrequest on;
        add_header X-D "$gray_app $gray_app_reason $mapped";

        location /auth {
            auth_request /user;
            auth_request_set $user $upstream_http_x_user;
            proxy_pass http://app;
        }

        # asked in the name of the subrequest, behind its log

        location /behind {
            auth_request /user;
            auth_request_set $user $upstream_http_x_user;
            auth_request_set $behind $gray_app;
            auth_request_set $all $gray_decisions;
            add_header X-D "$behind $gray_app_reason $all";
            proxy_pass http://127.0.0.1:%%PORT_v1%%;
        }

        # decided before

        location /first {
            set $first $gray_app;
            auth_request /user;
            proxy_pass http://app;
        }

        location /mirror {
            mirror /nothing;
            proxy_pass http://127.0.0.1:%%PORT_v1%%;
        }

        location /ssi   { ssi on; ssi_types *; add_header X-D ''; }
        location /plain { add_header X-D ''; }

        location = /user    { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location = /nothing { return 204; }

        location /found {
            access_log %%DIR%%/access.log found;
            return 200 "$gray_app $gray_sw";
        }

LUA
    }

    server {
        listen 127.0.0.1:%%PORT_v1%%;
        add_header X-User u1;
        return 200 v1;
    }

    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my $t = instance(Test::Gray->new, '');

# a request, what came of it, and all that is logged of it

for my $case (
    [ '/auth', 'v2, canary split new',
      '/user [-] [-] [old] [-]',
      '/auth [canary] [split] [new] [app=canary]' ],
    [ '/behind', 'v1, canary split app=canary,sw=off',
      '/user [-] [-] [old] [-]',
      '/behind [canary] [split] [new] [app=canary,sw=off]' ],
    [ '/first', 'v1, stable no_key old',
      '/user [stable] [no_key] [old] [app=stable]',
      '/first [stable] [no_key] [old] [app=stable]' ],
    [ '/mirror', 'v1, canary split new',
      '/nothing [-] [-] [old] [-]',
      '/mirror [canary] [split] [new] [app=canary]' ],
    [ '/ssi/asks', ',stable no_key, ',
      '/nothing [-] [-] [old] [-]',
      '/ssi/asks [stable] [no_key] [old] [app=stable]' ],
    [ '/ssi/does_not', ', ',
      '/nothing [-] [-] [old] [-]',
      '/ssi/does_not [-] [-] [old] [-]' ],
    [ '/plain/file', 'file, ',
      '/plain/file [-] [-] [old] [-]' ],

    # what is not found

    [ '/found?uid=1', 'stable off, stable no_key old',
      '[-] [-] [v1] [-] [#] [-]' ],
    [ '/found?rule=1', 'stable off, stable rule old',
      '[named] [-] [v1] [-] [-] [-]' ],
    [ '/found?rule=2', 'stable on, stable no_key old',
      '[-] [-] [v1] [0] [-] [-]' ],
) {
    my ($path, $expected, @lines) = @$case;

    is(ask($t, $path), $expected, $path);
    is_deeply([ logged($t, scalar @lines) ], \@lines, "$path: the log");
}

# a module whose handler of that phase comes first, whichever is loaded first

SKIP: {
    my @modules = Test::Gray->lua;

    skip('no lua module, or not for this nginx', 4) unless @modules;

    for my $order ([ @modules, Test::Gray->module ],
                   [ Test::Gray->module, @modules ])
    {
        my $t = instance(Test::Gray->new(module => ''), <<'END', @$order);
        location /lua {
            add_header X-D "";
            log_by_lua_block {
                ngx.log(ngx.NOTICE, "lua has ", tostring(ngx.var.gray_app))
            }
        }
END
        my ($last) = $order->[-1] =~ m{(\w+)\.so$};

        ask($t, '/lua/file');
        is_deeply([ logged($t, 1) ], [ '/lua/file [-] [-] [old] [-]' ],
                  "$last is last: nothing is decided");
        ok($t->wait_log(qr/lua has nil/), "$last is last: and was asked for");
    }
}

$t->done;


sub instance {
    my ($t, $lua, @modules) = @_;

    my $load = join '', map { "load_module $_;\n" } @modules;

    # modules are loaded before any block

    mkdir $t->dir . "/$_" for qw(html html/ssi html/plain html/lua);
    $t->write_file("html/$_/file", 'file') for qw(plain lua);

    my $include = '<!--#include virtual="/nothing" wait="yes" -->';

    $t->write_file('html/ssi/asks', "$include,<!--#echo var=\"gray_app\" -->"
                   . ' <!--#echo var="gray_app_reason" -->');
    $t->write_file('html/ssi/does_not', $include);

    return $t->config("${load}events { }\n" . $text =~ s/^LUA$/$lua/mr)->start;
}


sub ask {
    my ($t, $path) = @_;

    my $response = $t->get($path);

    return "$response->{body}, " . ($response->{headers}{'x-d'} || '');
}


# the lines since the last call; # stands for a bucket

my %read;

sub logged {
    my ($t, $count) = @_;

    my $lines = $read{$t} ||= [];
    my @lines;

    wait_until(sub {
        @lines = split /\n/, $t->read_file('access.log');
        return @lines >= @$lines + $count;
    });

    splice @lines, 0, @$lines;
    push @$lines, @lines;

    return map { s/\[\d{2,}\]/[#]/r } @lines;
}
