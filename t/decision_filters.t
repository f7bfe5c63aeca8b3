#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Whatever filter of the header asks first, the cookie goes with the response;
# what a map made of a release while it was decided is seen by no other.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

$t->write_file('page.html', "the X of it\n");

$t->config(<<'END')->start;
http {
    gray_zone gray 1m;

    gray_release sw {
        zone gray;
        cookie sw;
        variant off;
        variant on weight=50%;
    }

    map $gray_sw $charset { on utf-8; default koi8-r; }
    map $gray_own $m { canary new; default old; }

    gray_release own {
        zone gray;
        hash $arg_uid;
        variant stable;
        variant canary;
        match canary $m = new;
        match canary $http_x_canary = always;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%;

        location = /header { add_header X-Variant $gray_sw; alias %%DIR%%/page.html; }
        location = /charset {
            default_type text/html;
            charset $charset;
            alias %%DIR%%/page.html;
        }
        location = /search {
            default_type text/html;
            sub_filter $gray_sw Y;
            alias %%DIR%%/page.html;
        }
        location = /body {
            default_type text/html;
            sub_filter X $gray_sw;
            alias %%DIR%%/page.html;
        }
        location = /early {
            default_type text/html;
            add_header X-Variant $gray_sw;
            sub_filter X $gray_sw;
            alias %%DIR%%/page.html;
        }
        location = /map { return 200 "$gray_own $m"; }
        location = /map-first { return 200 "$m $gray_own $m"; }
    }
}
END

sub cookies {
    my ($r) = @_;

    my $cookie = $r->{headers}{'set-cookie'};

    return defined $cookie && $cookie =~ /^sw=[0-9a-f]{32};/ ? 1 : 0;
}

for my $path ('/header', '/charset', '/search', '/early') {
    is(cookies($t->get($path)), 1, "$path: the cookie is sent");
    is(cookies($t->get($path, Cookie => 'sw=1')), 0, "$path: once");
}

for (1 .. 8) {
    my $r = $t->get('/body');

    is(cookies($r) . $r->{body}, "0the off of it\n",
       'asked for when the header is out: the baseline');
}

for (1 .. 8) {
    my $r = $t->get('/early');
    my $variant = $r->{headers}{'x-variant'};

    is($r->{body}, "the $variant of it\n", 'asked for earlier: as decided');
}

$t->expect(qr/depends on the release's own decision/);

is($t->get('/map?uid=1', 'X-Canary' => 'always')->{body}, 'canary new',
   'a map that a rule has read says what was decided');
is($t->get('/map-first?uid=1', 'X-Canary' => 'always')->{body},
   'new canary new', 'also where it is asked first');

$t->done;
