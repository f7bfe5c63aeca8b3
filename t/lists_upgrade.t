#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# While the binary is upgraded two masters have a zone each: the workers of
# both write lists, one after the other, and follow each other.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'a wrapper is not upgraded') if $ENV{TEST_NGINX_WRAPPER};

my $t = Test::Gray->new(daemon => 'on')->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m state=state;

    gray_release app {
        zone     gray;
        variant  off;
        variant  on weight=0%;
        match    on $arg_uid in_list vip;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /on  { return 200 "$gray_app $pid"; }
        location /gray/ { gray_admin; }
    }
}
END


sub put {
    return $t->api('PUT', '/gray/lists/vip', $_[0],
                   'Content-Type' => 'text/plain');
}


# what each worker says, by its process

sub said {
    my ($uid) = @_;

    my %said;

    for ($t->http->many(60, sub { "/on?uid=$uid" }, per_connection => 1)) {
        my ($variant, $pid) = split ' ', $_->{body};
        $said{$pid}{$variant} = 1;
    }

    return { map { $_ => join '|', sort keys %{ $said{$_} } } keys %said };
}


is(put("u0\n")->{json}{revision}, 1, 'a list');

my @old = $t->workers;
my $master = $t->upgrade;
my @new = $t->workers;

is(scalar(@old) + @new, 4, 'workers of two masters');

my (%pids, $wrong);

for my $round (1 .. 6) {
    my $answer = put("u$round\n");

    is($answer->{json}{revision}, $round + 1, "revision of round $round");

    wait_until(sub {
        my $said = said("u$round");

        $pids{$_}++ for keys %$said;
        return keys %$said >= 2 && !grep { $_ ne 'on' } values %$said;
    }) or $wrong++;
}

is($wrong, undef, 'all of them follow');

my %old = map { $_ => 1 } @old;

ok(scalar(grep { $old{$_} } keys %pids), 'workers of the old master answered');
ok(scalar(grep { !$old{$_} } keys %pids), 'and workers of the new one');

kill 'QUIT', $master;
ok(wait_until(sub { !alive($master) }), 'the old master has ended');

is($t->get('/gray/lists/vip')->{body}, "u6\n", 'the list');
is(put("last\n")->{json}{revision}, 8, 'and on');

$t->done;
