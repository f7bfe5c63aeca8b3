package Test::Gray::Release;

# Copyright (C) the nginx gray module authors
#
#     follows_release($t, 'app', sub { my (@requests) = @_; ... });
#
# A subtest: whatever the protocol, requests reach the variant that a rule or
# the key says, and a change by the admin API takes effect at once.
#
# The release has the variants stable and canary, at 0%, whose backends call
# themselves v1 and v2, and a rule that sends those with "canary" there.  The
# code gets requests, { uid, canary }, and returns the names of the backends.

use strict;
use warnings;

use Exporter ();
use Test::More;

our @ISA = ('Exporter');
our @EXPORT = qw(follows_release patch);

my @users = map { "user-$_" } 1 .. 24;


sub follows_release {
    my ($t, $release, $ask) = @_;

    my $testers = [ map { { uid => $_, canary => 1 } } @users[0 .. 3] ];
    my $users = [ map { { uid => $_ } } @users ];

    my @all_v1 = ('v1') x @users;
    my @all_v2 = ('v2') x @users;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return subtest $release => sub {
        is_deeply([ $ask->(@$users) ], \@all_v1, 'weight 0');
        is_deeply([ $ask->(@$testers) ], [ ('v2') x 4 ], 'rule');

        patch($t, $release, { variants => { canary => { weight => 50 } } });

        my @half = $ask->(@$users);
        my %count;
        $count{$_}++ for @half;

        is_deeply([ sort keys %count ], [ qw(v1 v2) ], 'weight 50');
        is_deeply([ $ask->(@$users) ], \@half, 'sticky');

        patch($t, $release, { variants => { canary => { weight => 75 } } });

        my @more = $ask->(@$users);

        is(scalar(grep { $half[$_] eq 'v2' && $more[$_] ne 'v2' } 0 .. $#half),
           0, 'nobody leaves a variant that grows');

        patch($t, $release, { variants => { canary => { weight => 100 } } });
        is_deeply([ $ask->(@$users) ], \@all_v2, 'weight 100');

        patch($t, $release, { enabled => JSON::PP::false() });
        is_deeply([ $ask->(@$users, @$testers) ], [ @all_v1, ('v1') x 4 ],
                  'disabled');

        patch($t, $release, { enabled => JSON::PP::true(),
                              variants => { canary => { weight => 0 } } });
        is_deeply([ $ask->(@$users, @$testers) ], [ @all_v1, ('v2') x 4 ],
                  'enabled again');
    };
}


sub patch {
    my ($t, $release, $data) = @_;

    my $response = $t->api('PATCH', "/gray/releases/$release", $data);

    is($response->{status}, 200, "change of $release")
        or diag($response->{body});

    return $response->{json};
}


1;
