#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A revision is compiled once in each worker: the one that is there when it
# starts, before any request, and each that comes while there is traffic.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

plan(skip_all => 'an nginx without --with-debug')
    unless Test::Gray->has('--with-debug');

my $t = Test::Gray->new(level => 'debug')->config(<<'END')->start;
worker_processes 4;

http {
    gray_zone gray 1m;
    keepalive_requests 1000000;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant stable;
        variant canary weight=10%;
        match canary $http_user_agent ~ "bot/[0-9]+" name=bots;
    }

    gray_release other {
        zone gray;
        hash $arg_uid;
        variant stable;
        variant canary weight=10%;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        location /      { return 200 "$gray_app_revision $gray_other"; }
        location = /pid { return 200 $pid; }
        location /gray/ { gray_admin; }
    }
}
END


# how often each of these processes has compiled what

sub compiled {
    my (@pids) = @_;

    my %compiled = map { $_ => {} } @pids;

    for my $line (split /\n/, $t->log) {
        my ($pid, $name, $revision) = $line =~
            /\[debug\] (\d+)#.* gray: release "(\w+)" compiled revision (\d+)/
            or next;

        $compiled{$pid}{"$name $revision"}++ if $compiled{$pid};
    }

    return \%compiled;
}


# what is expected of each of them

sub once {
    my ($pids, @what) = @_;

    return { map { $_ => { map { $_ => 1 } @what } } @$pids };
}


sub compile_when_started {
    my ($revision, @pids) = @_;

    my @what = ("app $revision", 'other 1');

    wait_until(sub {
        my $compiled = compiled(@pids);
        return !grep { keys %$_ < @what } values %$compiled;
    });

    is_deeply(compiled(@pids), once(\@pids, @what),
              'each has compiled what there is, before any request');
}


sub patch {
    my ($revision) = @_;

    my $response = $t->insist('PATCH', '/gray/releases/app',
                              { variants => { canary
                                              => { weight => $revision } } });

    return $response->{json}{revision} || $response->{body};
}


my @workers = $t->workers;

is(scalar(@workers), 4, 'four workers');
compile_when_started(1, @workers);


# each worker is asked again and again, and at least twice between changes

my $connections = $t->each_worker('/pid');

is_deeply([ sort { $a <=> $b } keys %$connections ], \@workers,
          'a connection to each');

my $load = $t->child(sub {
    my @mine = values %{ $t->each_worker('/pid') };

    while (1) {
        $_->get('/?uid=2') for @mine;
        select undef, undef, undef, 0.001;
    }
});

my @wrong;

for my $revision (2 .. 30) {
    push @wrong, "patch $revision" if patch($revision) ne $revision;

    for my $connection ((values %$connections) x 2) {
        my $said = $connection->get('/?uid=1')->{body};
        push @wrong, "$revision: $said" if $said !~ /^$revision [sc]/;
    }
}

is_deeply(\@wrong, [], '29 changes, each of them seen by each worker');
ok(alive($load), 'there was traffic all the time');
$t->reap($load);

is_deeply(compiled(@workers),
          once(\@workers, map({ "app $_" } 1 .. 30), 'other 1'),
          'each revision was compiled once in each');


# workers that come later begin with the last

undef $connections;
ok($t->reload(gone => 1), 'reload');
compile_when_started(30, $t->workers);

$t->kill_worker;

compile_when_started(30, $t->workers);

my $late = $t->each_worker('/pid');

$_->get('/?uid=1') for (values %$late) x 5;

is_deeply(compiled($t->workers), once([ $t->workers ], 'app 30', 'other 1'),
          'and compile nothing more when they are asked');

$t->done;
