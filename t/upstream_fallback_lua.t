#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# balancer_by_lua in the upstream of a variant, or of the baseline: it sees its
# own tries and failures, whatever comes behind.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my @modules = Test::Gray->lua;

plan(skip_all => 'no lua module, or not for this nginx') unless @modules;

my $t = Test::Gray->new;

my $load = join '', map { "load_module $_;\n" } @modules;


# an upstream that takes one port after another; each attempt is logged with
# what the last one has failed by

sub balancer {
    my ($name, @ports) = @_;

    my $list = join ', ', map { "%%PORT_$_%%" } @ports;

    return <<"END";
    upstream $name {
        server 0.0.0.1;

        balancer_by_lua_block {
            local balancer = require "ngx.balancer"
            local ports = { $list }
            local n = (ngx.ctx.$name or 0) + 1

            ngx.ctx.$name = n
            ngx.log(ngx.NOTICE, "$name ", n, " ",
                    tostring(balancer.get_last_failure()))

            if n == 1 then
                balancer.set_more_tries(#ports - 1)
            end

            balancer.set_current_peer("127.0.0.1", ports[n])
        }

        keepalive 4;
    }
END
}


sub release {
    my ($name, $baseline, $canary) = @_;

    return <<"END";
    gray_release $name {
        zone gray;
        variant stable $baseline;
        variant canary $canary weight=100%;
        fallback baseline;
    }
END
}


my $http = join '', balancer('one', 'dead'), balancer('two', qw(dead dead2)),
    balancer('first', qw(v2 dead)), balancer('second', qw(dead v2)),
    balancer('last', qw(dead v1)),
    map({ release("to_$_", 'base', $_) } qw(one two first second error)),
    release('from_dead', 'last', 'dead'), release('both', 'last', 'two');

my $locations = join '', map {
    "        location = /$_ { proxy_pass http://$_;\n"
    . "            add_header X-Address \$upstream_addr always; }\n"
} qw(to_one to_two to_first to_second to_error from_dead both);

$t->config(<<"END")->start;
${load}events { }

http {
    gray_zone gray 4m;

    upstream base { server 127.0.0.1:%%PORT_v1%%; }
    upstream dead { server 127.0.0.1:%%PORT_dead%%; }

    upstream error {
        server 0.0.0.1;
        balancer_by_lua_block { error("no") }
    }

$http
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    server {
        listen 127.0.0.1:%%PORT%%;

$locations
        location /tries {
            proxy_next_upstream_tries 2;
            proxy_pass http://to_two;
            add_header X-Address \$upstream_addr always;
        }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my %name = map { ('127.0.0.1:' . $t->port($_) => $_) } qw(v1 v2 dead dead2);

my $offset = 0;

for ([ to_one => 'v1', 'dead v1', 'one 1 nil' ],
     [ to_two => 'v1', 'dead dead2 v1', 'two 1 nil', 'two 2 failed' ],
     [ to_first => 'v2', 'v2', 'first 1 nil' ],
     [ to_second => 'v2', 'dead v2', 'second 1 nil', 'second 2 failed' ],
     [ from_dead => 'v1', 'dead dead v1', 'last 1 nil', 'last 2 failed' ],
     [ both => 'v1', 'dead dead2 dead v1', 'two 1 nil', 'two 2 failed',
       'last 1 nil', 'last 2 failed' ],
     [ tries => 502, 'dead dead2', 'two 1 nil', 'two 2 failed' ],
     [ to_error => 500, '' ])
{
    my ($path, @expected) = @$_;

    my $response = $t->get("/$path");
    my $text = substr $t->log, $offset;
    my $address = $response->{headers}{'x-address'} || '';

    $offset += length $text;

    is_deeply([ $response->{status} == 200 ? $response->{body}
                                           : $response->{status},
                join(' ', map { $name{$_} || $_ } split /, /, $address),
                $text =~ /balancer_by_lua\S* (\w+ \d \w+)/g ],
              \@expected, $path);
}

$t->done;
