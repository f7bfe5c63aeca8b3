#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Memory is short in a worker that is scraped, a bit later each time: the
# answer is 503, or the whole text, and never a part of it.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;

plan(skip_all => 'memory is not that of nginx')
    if $ENV{TEST_NGINX_WRAPPER} || $ENV{TEST_SANITIZER_LOG};
plan(skip_all => 'no prlimit') if (capture('prlimit', '--version'))[0] != 0;

my $all = join '', map { <<"END" } 1 .. 20;
    gray_release r$_ { zone gray; variant off; variant on weight=50%; }
END

# limits of a process are set by its own user

my $user = $> == 0 ? 'user root;' : '';

my $t = Test::Gray->new->config(<<"END")->start;
$user
http {
    gray_zone gray 16m;
    variables_hash_max_size 4096;

$all
    server {
        listen 127.0.0.1:%%PORT%%;

        location = /metrics { gray_metrics; }
        location = /on      { return 200 on; }
    }
}
END

my ($worker) = $t->workers;
my $connection = $t->http->connect;

# once, so that what is made at the first time is there

my $whole = scrape($connection->get('/metrics'));


# the worker gets so many bytes more than it has

sub limit {
    my ($more) = @_;

    my ($pages) = slurp("/proc/$worker/statm") =~ /^(\d+)/;
    my $limit = defined $more ? $pages * 4096 + $more : 'unlimited';
    my ($status, undef, $said) =
        capture('prlimit', '--pid', $worker, "--as=$limit:unlimited");

    die $said if $status != 0;

    return;
}


# what nginx says of it

$t->expect(qr/ failed \(12: /);

my (%answers, @wrong);

for (my $more = 0; $more < 2048 * 1024; $more += 32 * 1024) {
    limit($more);
    my $answer = eval { $connection->get('/metrics') };
    limit();

    if (!$answer) {
        push @wrong, "$more bytes: $@";
        last;
    }

    $answers{ $answer->{status} }++;

    if ($answer->{status} == 503) {
        push @wrong, "$more bytes: $answer->{body}"
            unless $answer->{body} =~ /"detail": "memory is short"/
                   && $answer->{headers}{'retry-after'}
                   && $answer->{headers}{'content-type'}
                      eq 'application/problem+json';
        next;
    }

    my $m = eval { scrape($answer) } || {};

    push @wrong, "$more bytes: $@" if $@;
    push @wrong, "$more bytes: another text"
        unless join(' ', sort keys %$m) eq join(' ', sort keys %$whole);

    last if $answers{200} > 10;
}

is_deeply(\@wrong, [], 'nothing is wrong');
cmp_ok($answers{503} || 0, '>', 3, '503 where memory is short');
cmp_ok($answers{200} || 0, '>', 3, '200 where there is enough');
is($connection->get('/on')->{body}, 'on', 'the connection is still there');
is(($t->workers)[0], $worker, 'and so is the worker');
is_deeply(scrape($connection->get('/metrics')), $whole, 'all is as before');

note(join ', ', map { "$_: $answers{$_}" } sort keys %answers);

$t->done;
