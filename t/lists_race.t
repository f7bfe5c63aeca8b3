#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A list is deleted, or gets entries that are no networks, while a document
# begins to use it: only one of them can be.

use strict;
use warnings;

use FindBin;
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $rounds = $ENV{TEST_NGINX_WRAPPER} ? 5 : 30;

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m state=state;

    gray_release app { zone gray; variant off; variant on weight=0%; }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
    }
}
END


sub list {
    my ($method, $body) = @_;

    return $t->api($method, '/gray/lists/office', $body,
                   defined $body ? ('Content-Type' => 'text/plain') : ());
}


sub rules { return $t->api('PATCH', '/gray/releases/app', { rules => \@_ }) }


for ([ 'DELETE' ], [ 'PUT', "nowhere\n" ]) {
    my ($method, $body) = @$_;
    my $both = 0;

    for my $round (1 .. $rounds) {
        rules();
        list('PUT', "10.0.0.0/8\n");

        my $file = "$method.$round";

        my $child = $t->child(sub {
            $t->write_file($file, list($method, $body)->{status});
            POSIX::_exit(0);
        });

        # from before it to behind it; nothing in between could be waited for

        Time::HiRes::sleep($round * 0.04 / $rounds
                           * $Test::Gray::Process::scale);

        my $rule = { variant => 'on', when => {
                         '$remote_addr' => { cidr_list => 'office' } } };
        my $status = rules($rule)->{status};

        wait_until(sub { -s $t->dir . "/$file" });
        $t->reap($child);

        $both++ if $status == 200 && $t->read_file($file) == 200;
    }

    is($both, 0, "$method: never both, in $rounds rounds");
}

# the list that is refused to be changed can be used later

is(rules({ variant => 'on', when => {
               '$remote_addr' => { in_list => 'office' } } })->{status}, 200,
   'nothing is left of it');

$t->done;
